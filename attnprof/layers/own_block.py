"""The own block of every query, up to the query itself: the part of a softmax that needs no choice."""

from __future__ import annotations

import torch
from torch import Tensor

from attnprof.layers.partial_softmax import SoftmaxPart, softmax_part
from attnprof.layers.scan import chunked


def own_part(q: Tensor, k: Tensor, v: Tensor, size: int) -> SoftmaxPart:
    """Scaled `q [b, h, n, d]`, `k, v [b, g, n, d]`, blocks of `size`: `[b, h, n, d or 1]`."""
    n, heads = q.shape[2], q.shape[1] // k.shape[1]
    place = torch.arange(size, device=q.device)
    later = (place > place[:, None]).repeat(heads, 1)
    rows = chunked(q, size).unflatten(1, (-1, heads)).transpose(2, 3).flatten(3, 4)
    part = softmax_part(rows, chunked(k, size), chunked(v, size), later)
    whole = (x.unflatten(3, (heads, size)).transpose(2, 3).flatten(1, 2).flatten(2, 3)[:, :, :n] for x in part)
    return SoftmaxPart(*whole)


def own_pairs(n: int, size: int) -> int:
    """Pairs that it computes: a whole square for each block."""
    return -(-n // size) * size * size
