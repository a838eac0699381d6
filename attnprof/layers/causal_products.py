"""Products with sums over the past, without a normaliser: what `scan` does for weights that need not add up to one."""

from __future__ import annotations

from torch import Tensor

from attnprof.layers.scan import before, chunked


def causal_products(q: Tensor, k: Tensor, v: Tensor, chunk: int) -> Tensor:
    """q_i times the sum over j <= i of k_j v_j^T: `q, k [b, h, n, m]`, `v [b, h, n, e]` to `[b, h, n, e]`."""
    rows = q.shape[2]
    q, k, v = (chunked(x, chunk) for x in (q, k, v))
    near = (q @ k.transpose(-2, -1)).tril_() @ v
    return (near + q @ before(k.transpose(-2, -1) @ v)).flatten(2, 3)[:, :, :rows]


def product_flops(n: int, chunk: int, m: int, e: int) -> int:
    """FLOPs of that for one head: 2 C (m + e) + 4 m e a token, with n in whole chunks of C."""
    return -(-n // chunk) * chunk * (2 * chunk * (m + e) + 4 * m * e)
