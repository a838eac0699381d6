"""Blocks of keys and values as one each, and what their weights say of the blocks to read (Yuan et al. 2025, 3.3)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from attnprof.contracts import Spec

ROWS = 2048  # queries whose scores of compressed blocks are in memory at once


class Sizes:
    """What follows from the parameters at one length."""

    def __init__(self, spec: Spec) -> None:
        self.n, self.window = spec.shape.n, max(spec.number("window"), 1)
        self.block, self.length, self.stride = (spec.number(name) for name in ("block", "compress", "stride"))
        self.slots = self.slots_of(self.n)
        self.past = (self.n - 1) // self.block
        self.choices = max(min(spec.number("selected") - 1, self.past), 0)

    def slots_of(self, tokens: int) -> int:
        """Compressed blocks that are complete after so many tokens."""
        return max((tokens - self.length) // self.stride + 1, 0)

    def tiles(self, first: int) -> list[tuple[slice, int]]:
        """Stretches of queries from `first` on, and how many compressed blocks the last of each sees."""
        starts = range(first, self.n, ROWS)
        ends = [min(start + ROWS, self.n) for start in starts]
        return [(slice(start, end), self.slots_of(end)) for start, end in zip(starts, ends, strict=True)]


def blocks_of(shares: Tensor, sizes: Sizes, past: int) -> Tensor:
    """Weights of compressed blocks `[..., slots]` as those of blocks `[..., past]`: a share for each stride of them."""
    overlap, per = sizes.length // sizes.stride, sizes.block // sizes.stride
    wide = past * per
    pieces = [F.pad(shares, (shift, max(wide - shift - shares.shape[-1], 0)))[..., :wide] for shift in range(overlap)]
    return torch.stack(pieces).sum(0).unflatten(-1, (past, per)).sum(-1)


class Compress(nn.Module):
    """Keys, or values, of whole blocks: a two-layer map of their tokens with a position each (equation 7)."""

    def __init__(self, sizes: Sizes, d: int) -> None:
        super().__init__()
        self.sizes = sizes
        self.places = nn.Parameter(0.02 * torch.randn(sizes.length, d))
        self.inner, self.outer = (nn.Linear(width, d, bias=False) for width in (sizes.length * d, d))

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[2] < self.sizes.length:
            return x[:, :, :0]
        blocks = x.unfold(2, self.sizes.length, self.sizes.stride).transpose(3, 4) + self.places
        return self.outer(F.gelu(self.inner(blocks.flatten(3))))
