"""What Sinkhorn attention sorts by, as the paper defines it: for oracles, which share nothing with `sorting.py`.

Tay et al. 2020, sections 3.1 and 3.2, number by number: plain weights, not logarithms, and a loop over the positions
of a block.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from attnprof.units import Value


def permutation(scores: Tensor, params: Mapping[str, Value], causal: bool) -> Tensor:
    """S `[b, places, blocks]` of `scores`: exp(R / tau), its rows and columns divided by their sums in turn.

    Causal: of blocks before the place only, and a column is divided by what it holds up to the place. Hard: 1 where a
    row is largest, with the gradient of that weight, and 0 elsewhere.
    """
    raw = scores.double() / float(params["temperature"] or 1)
    earlier = torch.ones_like(raw[0], dtype=torch.bool).tril(-1) if causal else torch.ones_like(raw[0]).bool()
    raw = raw.masked_fill(~earlier, float("-inf"))
    s = (raw - raw.amax(-1, keepdim=True).clamp(min=torch.finfo(raw.dtype).min)).exp()
    for _ in range(int(str(params["iterations"]))):
        s = _divided(s, s.sum(-1, keepdim=True))
        s = _divided(s, s.cumsum(-2) if causal else s.sum(-2, keepdim=True))
    if params["hard"]:
        largest = torch.zeros_like(s).scatter_(-1, s.argmax(-1, keepdim=True), 1.0)
        s = largest * (1 + s - s.detach())
    return s.to(scores.dtype)


def in_places(s: Tensor, x: Tensor, size: int, hard: bool) -> tuple[Tensor, Tensor]:
    """The tokens `x [b, h, n, d]` in the places of `s`, `[b, h, places, size, d]`, and which are there.

    Position p of a place is a mean, weighted by s, of the tokens at position p of those blocks that have one, times
    the row sum of s; `[b, places, size]` is False where a hard sorting takes a block without a token at p.
    """
    moved, there = [], []
    for p in range(size):
        tokens = x[:, :, p::size]
        share = s[..., : tokens.shape[2]]
        held = share.sum(-1, keepdim=True)
        scale = torch.ones_like(held) if hard else _divided(s.sum(-1, keepdim=True), held)
        moved.append(torch.einsum("bpj,bhjd->bhpd", share * scale, tokens))
        there.append(held[..., 0] > 0 if hard else torch.ones_like(held[..., 0], dtype=torch.bool))
    return torch.stack(moved, 3), torch.stack(there, -1)


def _divided(x: Tensor, total: Tensor) -> Tensor:
    return x / torch.where(total > 0, total, torch.ones_like(total))
