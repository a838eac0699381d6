"""Nystromformer: softmax attention from its rows and columns at a few landmarks (Xiong et al. 2021, equation 13)."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from attnprof.contracts import Spec
from attnprof.layers.softmax import softmax_attention


class Core(nn.Module):
    """`q [b, h, n, d]`, `k, v [b, g, n, d]`: F (Z (B v)), and v under a filter along the sequence, one a head."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.landmarks, self.iterations = spec.number("landmarks"), spec.number("iterations")
        taps = spec.number("conv")
        self.filters = nn.Parameter(torch.randn(spec.shape.heads, 1, taps, 1) * taps**-0.5) if taps else None

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        heads, rows = q.shape[1] // k.shape[1], q.shape[2]
        q = q * q.shape[-1] ** -0.5
        near_q, near_k = segment_means(q, self.landmarks), segment_means(k, self.landmarks)
        folded, near_q = (x.unflatten(1, (k.shape[1], heads)).flatten(2, 3) for x in (q, near_q))
        among = near_q.unflatten(2, (heads, -1)) @ near_k.transpose(-2, -1)[:, :, None]
        weighed = (near_q @ k.transpose(-2, -1)).softmax(-1) @ v
        middle = pseudo_inverse(among.softmax(-1), self.iterations) @ weighed.unflatten(2, (heads, -1))
        weights = (folded @ near_k.transpose(-2, -1)).softmax(-1)
        mixed = weights.unflatten(2, (heads, rows)) @ middle
        mixed = mixed.flatten(1, 2)
        return mixed if self.filters is None else mixed + self.filtered(v, self.filters)

    def reference(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Three softmaxes, Z by its polynomial in P = A Z: Z (13 I - 15 P + 7 P^2 - P^3) / 4; a filter tap by tap."""
        n, count = q.shape[2], self.landmarks
        k, v = (x.repeat_interleave(q.shape[1] // x.shape[1], 1) for x in (k, v))
        short, long = n // count, n % count
        bounds = [i * short + max(i - (count - long), 0) for i in range(count + 1)]
        ends = list(pairwise(bounds))
        near_q, near_k = (torch.stack([x[:, :, a:b].mean(2) for a, b in ends], 2) for x in (q, k))
        eye = torch.eye(count, dtype=q.dtype, device=q.device).expand(*q.shape[:2], -1, -1)
        a = softmax_attention(near_q, near_k, eye)
        z = a.mT / a.abs().sum(-1).amax(-1)[..., None, None] / a.abs().sum(-2).amax(-1)[..., None, None]
        for _ in range(self.iterations):
            p = a @ z
            z = z @ (13 * eye - 15 * p + 7 * p @ p - p @ p @ p) / 4
        out = softmax_attention(q, near_k, z @ softmax_attention(near_q, k, v))
        if self.filters is not None:
            half, taps = self.filters.shape[2] // 2, self.filters[:, 0, :, 0]
            wide = F.pad(v, (0, 0, half, half))
            for at in range(taps.shape[1]):
                out = out + taps[:, at, None, None] * wide[:, :, at : at + n]
        return out

    def filtered(self, v: Tensor, filters: Tensor) -> Tensor:
        """`v [b, g, n, d]` under the filter of each query head, zeros beyond the ends."""
        wide = v.repeat_interleave(len(filters) // v.shape[1], 1) if len(filters) > v.shape[1] else v
        return F.conv2d(wide, filters, padding=(filters.shape[2] // 2, 0), groups=len(filters))[:, :, : v.shape[2]]


def segment_means(x: Tensor, count: int) -> Tensor:
    """Means of `count` segments of `x [b, h, n, d]`, which differ by one token at most, the longer ones last."""
    size, longer = divmod(x.shape[2], count)
    cut = (count - longer) * size
    means = x[:, :, :cut].unflatten(2, (-1, size)).mean(3)
    return torch.cat([means, x[:, :, cut:].unflatten(2, (-1, size + 1)).mean(3)], 2) if longer else means


def pseudo_inverse(a: Tensor, iterations: int) -> Tensor:
    """Z near the pseudo-inverse of `a [..., l, l]`, by four products an iteration (Xiong et al. 2021, equation 11).

    It begins at A^T / (|A|_1 |A|_inf), whose second norm is 1 for the rows of a softmax.
    """
    eye = torch.eye(a.shape[-1], dtype=a.dtype, device=a.device)
    z = a.mT / a.sum(-2, keepdim=True).amax(-1, keepdim=True)
    for _ in range(iterations):
        p = a @ z
        z = 0.25 * z @ (13 * eye - p @ (15 * eye - p @ (7 * eye - p)))
    return z


def flops_core(spec: Spec) -> int:
    """8 n l d + 4 l^2 d + 8 i l^3 a head with l landmarks and i iterations, and 2 n t d for a filter of t taps."""
    shape, count, d = spec.shape, spec.number("landmarks"), spec.shape.d
    inverse = 8 * spec.number("iterations") * count**3
    mixing = 8 * shape.n * count * d + 4 * count**2 * d
    return shape.batch * shape.heads * (mixing + inverse + 2 * shape.n * spec.number("conv") * d)
