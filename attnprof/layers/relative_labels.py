"""Relative position labels: what a query adds to its scores by the clipped lag of the key (Shaw et al. 2018)."""

from __future__ import annotations

import torch
from torch import Tensor


def by_lag(products: Tensor, width: int, first: int) -> Tensor:
    """Products with the 2 k + 1 labels `[..., rows, 2 k + 1]` laid out over the keys of a tile: `[..., rows, width]`.

    Row a and column c lie at the lag first + c - a, clipped to [-k, k]; the lag 0 is in the tile. Each row is written
    out by lag, and as a row starts one lag below the one before, cutting the memory anew moves every entry to its key:
    nothing is gathered.
    """
    rows, clip = products.shape[-2], products.shape[-1] // 2
    lowest, length = first - rows + 1, width + rows
    before, after = max(-clip - lowest, 0), max(lowest + length - 1 - clip, 0)
    start = max(lowest + clip, 0)
    middle = products[..., start : start + length - before - after]
    left = products[..., :1].expand(*products.shape[:-1], before)
    right = products[..., -1:].expand(*products.shape[:-1], after)
    written = torch.cat([left, middle, right], -1).flatten(-2)
    moved = written[..., rows - 1 : rows - 1 + rows * (length - 1)]
    return moved.unflatten(-1, (rows, length - 1))[..., :width]
