"""Rotation of queries and keys by position: pairs of channels turn, each at a rate of its own (Su et al. 2021)."""

from __future__ import annotations

import torch
from torch import Tensor

BASE = 10000.0


def rotated(x: Tensor, first: int = 0) -> Tensor:
    """Rows `[.., n, d]` at positions i from `first` on: channels 2 c and 2 c + 1 turn by i / 10000^(2 c / d)."""
    pairs = x.shape[-1] // 2
    rates = BASE ** -(torch.arange(pairs, device=x.device, dtype=torch.float64) * 2 / x.shape[-1])
    angles = torch.arange(first, first + x.shape[-2], device=x.device, dtype=torch.float64)[:, None] * rates
    return turned(x, angles)


def turned(x: Tensor, angles: Tensor) -> Tensor:
    """Rows `[.., n, d]`, the pair c by the angle `angles [.., n, c]`; channels beyond the pairs stay."""
    paired = 2 * angles.shape[-1]
    even, odd = x[..., :paired].unflatten(-1, (-1, 2)).unbind(-1)
    cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
    moved = torch.stack([even * cos - odd * sin, even * sin + odd * cos], -1).flatten(-2)
    return moved if paired == x.shape[-1] else torch.cat([moved, x[..., paired:]], -1)
