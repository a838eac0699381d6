"""Tokens as blocks, and blocks beside their neighbours."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from attnprof.layers.index_tables import table
from attnprof.layers.lowering.tiling import View


def shifted(blocks: Tensor, shifts: tuple[int, ...]) -> Tensor:
    """For each block t the blocks t + s side by side (zeros beyond the ends), `[b, h, blocks, shifts * size, d]`."""
    if shifts == (0,):
        return blocks
    before, after = max(-shifts[0], 0), max(shifts[-1], 0)
    padded = F.pad(blocks, (0, 0, 0, 0, before, after))
    count = blocks.shape[2]
    return torch.cat([padded[:, :, before + s : before + s + count] for s in shifts], 3)


class BlockView(nn.Module):
    """A view of the tokens as blocks: `[b, h, n, d]` to `[b, h, blocks, size, d]`, and back."""

    tokens: Tensor | None
    places: Tensor | None

    def __init__(self, view: View, n: int, size: int) -> None:
        super().__init__()
        self.n, self.size, self.stride = n, size, view.stride
        self.blocks = view.blocks(n, size)
        self.group = view.group_blocks(n, size) * size if view.tokens is None else 0
        tokens = view.positions(n, size).ravel() if view.tokens is not None else None
        self.register_buffer("tokens", None if tokens is None else table(np.maximum(tokens, 0)))

    def forward(self, x: Tensor) -> Tensor:
        if self.tokens is not None:
            return x.index_select(2, self.tokens).unflatten(2, (self.blocks, self.size))
        padding = self.group * self.stride - self.n
        x = F.pad(x, (0, 0, 0, padding)) if padding else x
        if self.stride > 1:
            x = x.unflatten(2, (self.group, self.stride)).transpose(2, 3).flatten(2, 3)
        return x.unflatten(2, (self.blocks, self.size))

    def restored(self, x: Tensor) -> Tensor:
        """`[b, h, blocks, size, e]` in the order of the sequence again, `[b, h, n, e]`."""
        x = x.flatten(2, 3)
        if self.stride > 1:
            x = x.unflatten(2, (self.stride, self.group)).transpose(2, 3).flatten(2, 3)
        return x[:, :, : self.n]
