"""Explicit softmax attention: as the references write it down, and as layers execute it; the two share nothing."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def softmax_attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
    """softmax(q k^T / sqrt(d)) v (Vaswani et al. 2017, equation 1), with every score in memory.

    `q [b, h, n, d]`, `k` and `v [b, g, m, d]`; head a uses KV head floor(a g / h). `mask` broadcasts to `[b, h, n, m]`,
    True where an edge is; a query without any edge gives 0.
    """
    k, v = (x.repeat_interleave(q.shape[1] // x.shape[1], 1) for x in (k, v))
    scores = torch.einsum("bhid,bhjd->bhij", q, k) / q.shape[-1] ** 0.5
    if mask is None:
        weights = scores.softmax(-1)
    else:
        weights = scores.masked_fill(~mask, float("-inf")).softmax(-1)
        weights = weights.masked_fill(~mask.any(-1, keepdim=True), 0.0)
    return torch.einsum("bhij,bhjd->bhid", weights, v)


def attend(q: Tensor, k: Tensor, v: Tensor, hidden: Tensor | None = None) -> Tensor:
    """The same as layers execute it: the keys scaled and not the scores, which are masked in place.

    `hidden` broadcasts to `[b, g, h / g * n, m]`, True where there is no edge; every query needs one.
    """
    rows, heads = q.shape[2], q.shape[1] // k.shape[1]
    folded = q.unflatten(1, (k.shape[1], heads)).flatten(2, 3) if heads > 1 else q
    scores = folded @ (k * q.shape[-1] ** -0.5).transpose(-2, -1)
    if hidden is not None:
        hide(scores, hidden)
    return unfold(scores.softmax(-1) @ v, heads, rows)


@torch.no_grad()
def hide(scores: Tensor, hidden: Tensor) -> None:
    """-inf where `hidden` is True, in place; autograd need not know.

    A weight of 0 has the gradient 0 by softmax's own rule, so that a backward of the mask would only copy every score.
    """
    scores.masked_fill_(hidden, float("-inf"))


class Softmax(nn.Module):
    """softmax(q k^T / sqrt(d)) v as the core of a layer: `q [b, h, n, d]`, `k, v [b, g, m, d]`."""

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return attend(q, k, v)

    def reference(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """The same, written out."""
        return softmax_attention(q, k, v)


def unfold(x: Tensor, heads: int, rows: int) -> Tensor:
    """`[b, g, r * n, e]` back to `[b, g * r, n, e]`: query heads that were folded into the rows of their KV head."""
    return x.unflatten(2, (heads, rows)).flatten(1, 2) if heads > 1 else x
