"""Rotary positions: pairs of channels turned by an angle that grows with the place (Su et al. 2021, section 3.2)."""

from __future__ import annotations

import torch
from torch import Tensor

BASE = 10000.0


def turned(x: Tensor, first: int = 0) -> Tensor:
    """`x [..., n, r]`, its channels (2 i, 2 i + 1) turned by (first + place) / 10000^(2 i / r); r is even.

    Angles are float32 at least.
    """
    wide = torch.promote_types(x.dtype, torch.float32)
    places = torch.arange(first, first + x.shape[-2], device=x.device, dtype=wide)
    speed = BASE ** (-torch.arange(0, x.shape[-1], 2, device=x.device, dtype=wide) / x.shape[-1])
    angle = places[:, None] * speed
    cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
    even, odd = x[..., ::2], x[..., 1::2]
    return torch.stack([even * cos - odd * sin, even * sin + odd * cos], -1).flatten(-2)
