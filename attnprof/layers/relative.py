"""Attention with relative positions, from segments over windows of earlier entries (Dai et al. 2019, section 3.3)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from attnprof.layers.attention import split_heads
from attnprof.layers.softmax import hide
from attnprof.shapes import Shape


class RelativeAttention(nn.Module):
    """Segments of T queries over windows of earlier entries and themselves, W in all, at most `segment + before`.

    score(i, j) = ((q_i + u) k_j + (q_i + w) r_(i - j)) / sqrt(d). `hidden` are masks that broadcast to
    `[segments, T, W]`, True where there is no edge; lags count entries of the window. Query heads may share their keys:
    those of positions then too, with a u and w for each query head.
    """

    waves: Tensor

    def __init__(self, shape: Shape, segment: int, before: int) -> None:
        super().__init__()
        self.groups, self.shared = shape.groups, shape.heads // shape.groups
        self.to_r = nn.Linear(shape.dim, shape.groups * shape.d, bias=False)
        self.u = nn.Parameter(torch.randn(shape.heads, 1, shape.d) * 0.02)
        self.w = nn.Parameter(torch.randn(shape.heads, 1, shape.d) * 0.02)
        self.register_buffer("waves", sinusoids(segment + before, shape.dim), persistent=False)

    def forward(self, q: Tensor, k: Tensor, v: Tensor, *hidden: Tensor) -> Tensor:
        """`q [b, h, segments, T, d]`, `k, v [b, g, segments, W, d]` to `[b, h, segments, T, d]`."""
        q = q * q.shape[-1] ** -0.5
        u, w = (bias.unsqueeze(-2) * q.shape[-1] ** -0.5 for bias in (self.u, self.w))
        k, v = self.by_head(k), self.by_head(v)
        scores = (q + u) @ k.transpose(-2, -1)
        scores = scores.add_(self.shifted(q + w, k.shape[3]))
        for mask in hidden:
            hide(scores, mask)
        return scores.softmax(-1) @ v

    def shifted(self, q: Tensor, width: int) -> Tensor:
        """`[b, h, segments, T, W]`: the products with r_(i - j), each row of products moved to its keys.

        A row of the product holds the lags W - 1 ... 0 and one that stands for -1, so that in memory the entry of
        (i, j) lies at i W + T - 1 + j: rows are cut anew, and nothing is copied. Entries of the future are of no use.
        """
        rows = q.shape[3]
        raw = q.flatten(2, 3) @ self.positions(width).transpose(-2, -1)
        raw = raw.unflatten(2, (-1, rows)).flatten(3)
        return raw[..., rows - 1 : rows - 1 + rows * width].unflatten(3, (rows, width))

    def positions(self, width: int | None = None) -> Tensor:
        """r for the lags W - 1 ... 0 (all of them if None) and, as the last row, zeros: `[h, W + 1, d]`."""
        waves = self.waves[-width:] if width else self.waves
        r = split_heads(self.to_r(waves).unsqueeze(0), self.groups)
        return F.pad(self.by_head(r)[0], (0, 0, 0, 1))

    def vectors(self, count: int) -> Tensor:
        """r of the lags 0 ... count - 1, `[h, count, d]`, as the references write it: W_r [sin(l w), cos(l w)].

        The frequencies are w_i = 10000^(-2 i / D); the table of sines is kept in float32.
        """
        width, weight = self.to_r.in_features, self.to_r.weight
        turns = 10000.0 ** (torch.arange(0, width, 2, dtype=torch.float64, device=weight.device) / width)
        angle = torch.arange(count, dtype=torch.float64, device=weight.device)[:, None] / turns
        sines = torch.cat([torch.sin(angle), torch.cos(angle)], 1)[:, :width].float().to(weight.dtype)
        r = torch.einsum("lc,gdc->gld", sines, weight.view(self.groups, -1, width))
        return r.repeat_interleave(self.shared, 0)

    def by_head(self, x: Tensor) -> Tensor:
        """`[b, g, ...]` of KV heads as `[b, h, ...]`, for each query head."""
        return x.repeat_interleave(self.shared, 1) if self.shared > 1 else x


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
