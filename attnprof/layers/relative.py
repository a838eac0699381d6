"""Attention with relative positions, from segments over windows of earlier entries (Dai et al. 2019, section 3.3)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from attnprof.layers.attention import split_heads
from attnprof.layers.softmax import hide
from attnprof.model import Shape


class RelativeAttention(nn.Module):
    """Every segment of T queries over its window of `before` earlier entries and itself, W = before + T.

    score(i, j) = ((q_i + u) k_j + (q_i + w) r_(i - j)) / sqrt(d). `hidden` are masks that broadcast to
    `[segments, T, W]`, True where there is no edge; lags count entries of the window.
    """

    waves: Tensor

    def __init__(self, shape: Shape, segment: int, before: int) -> None:
        super().__init__()
        self.heads, self.segment, self.before = shape.heads, segment, before
        self.to_r = nn.Linear(shape.dim, shape.heads * shape.head_dim, bias=False)
        self.u = nn.Parameter(torch.randn(shape.heads, 1, shape.head_dim) * 0.02)
        self.w = nn.Parameter(torch.randn(shape.heads, 1, shape.head_dim) * 0.02)
        self.register_buffer("waves", sinusoids(segment + before, shape.dim), persistent=False)

    def forward(self, q: Tensor, k: Tensor, v: Tensor, *hidden: Tensor) -> Tensor:
        """`q [b, h, segments, T, d]`, `k, v [b, h, segments, W, d]` to `[b, h, segments, T, d]`."""
        q = q * q.shape[-1] ** -0.5
        u, w = (bias.unsqueeze(-2) * q.shape[-1] ** -0.5 for bias in (self.u, self.w))
        scores = (q + u) @ k.transpose(-2, -1)
        scores = scores.add_(self.shifted((q + w).flatten(2, 3)))
        for mask in hidden:
            hide(scores, mask)
        return scores.softmax(-1) @ v

    def shifted(self, q: Tensor) -> Tensor:
        """`[b, h, segments, T, W]`: the products with r_(i - j), each row of products moved to its keys.

        A row of the product holds the lags W - 1 ... 0 and one that stands for -1, so that in memory the entry of
        (i, j) lies at i W + T - 1 + j: rows are cut anew, and nothing is copied. Entries of the future are of no use.
        """
        rows, width = self.segment, self.segment + self.before
        raw = (q @ self.positions().transpose(-2, -1)).unflatten(2, (-1, rows)).flatten(3)
        return raw[..., rows - 1 : rows - 1 + rows * width].unflatten(3, (rows, width))

    def positions(self) -> Tensor:
        """r for the lags W - 1 ... 0 and, as the last row, zeros: `[h, W + 1, d]`."""
        return F.pad(split_heads(self.to_r(self.waves).unsqueeze(0), self.heads)[0], (0, 0, 0, 1))


def sinusoids(count: int, width: int) -> Tensor:
    """Sines and cosines of the lags count - 1 ... 0, `[count, width]` (Dai et al. 2019, section 3.3)."""
    lags = torch.arange(count - 1, -1, -1, dtype=torch.float64)[:, None]
    angles = lags * 10000.0 ** (-torch.arange(0, width, 2, dtype=torch.float64) / width)
    return torch.cat([angles.sin(), angles.cos()], 1)[:, :width].float()


def windows(x: Tensor, size: int, step: int, count: int) -> Tensor:
    """The `size` rows before each segment of `step`: `[b, h, n, d]` to `[b, h, count, size, d]`, zeros before 0."""
    needed = (count - 1) * step
    padded = F.pad(x[:, :, :needed], (0, 0, size, 0))
    return padded.unfold(2, size, step)[:, :, :count].transpose(-2, -1)
