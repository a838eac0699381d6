"""Sums over keys as products: what kernel attention shares. The causal form goes by chunks.

Within a chunk of C tokens a masked C x C product, between chunks a state that is summed up over them. There is no loop
over positions or chunks.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from attnprof.layers.softmax import unfold


def chunked(x: Tensor, size: int) -> Tensor:
    """`[b, h, n, d]` as `[b, h, chunks, size, d]`; a ragged end is filled with zeros."""
    padding = -x.shape[2] % size
    return (F.pad(x, (0, 0, 0, padding)) if padding else x).unflatten(2, (-1, size))


def summed(k: Tensor, v: Tensor) -> Tensor:
    """Sums of k_j v_j^T and of k_j, side by side: `k [..., n, m]`, `v [..., n, d]` to `[..., m, d + 1]`."""
    return torch.cat([k.transpose(-2, -1) @ v, k.sum(-2).unsqueeze(-1)], -1)


def normalised(mixed: Tensor, epsilon: float = 0.0) -> Tensor:
    """`[..., d + 1]`, the sum of the weights in the last column, as the weighted mean `[..., d]`."""
    return mixed[..., :-1] / (mixed[..., -1:] + epsilon if epsilon else mixed[..., -1:])


def causal_sums(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """q_i times the sums over j <= i that `summed` names, `[b, h, chunks, C, d + 1]`.

    `q [b, h, chunks, C, m]`, `k [b, g, chunks, C, m]`, `v [b, g, chunks, C, d]`.
    """
    groups, heads, rows = k.shape[1], q.shape[1] // k.shape[1], q.shape[3]
    q = q.unflatten(1, (groups, heads)).transpose(2, 3).flatten(3, 4) if heads > 1 else q
    weights = q @ k.transpose(-2, -1)
    weights = weights.unflatten(3, (heads, rows)).tril().flatten(3, 4) if heads > 1 else weights.tril_()
    near = torch.cat([weights @ v, weights.sum(-1, keepdim=True)], -1)
    mixed = near + q @ before(summed(k, v))
    return mixed.unflatten(3, (heads, rows)).transpose(2, 3).flatten(1, 2) if heads > 1 else mixed


def read(q: Tensor, sums: Tensor) -> Tensor:
    """`q [b, h, n, m]` times the sums of its KV head, `[b, g, m, d + 1]`: `[b, h, n, d + 1]`."""
    heads, rows = q.shape[1] // sums.shape[1], q.shape[2]
    return unfold(q.unflatten(1, (-1, heads)).flatten(2, 3) @ sums, heads, rows) if heads > 1 else q @ sums


def before(states: Tensor) -> Tensor:
    """`states [b, h, chunks, m, d]` summed over the chunks before each, in float32 at least."""
    wide = torch.promote_types(states.dtype, torch.float32)
    return F.pad(states[:, :, :-1], (0, 0, 0, 0, 1, 0)).cumsum(2, dtype=wide).to(states.dtype)
