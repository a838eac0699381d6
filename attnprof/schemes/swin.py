"""Swin: windows of a grid with a learned bias for offsets, moved in odd layers (Liu et al. 2021, section 3.2)."""

from __future__ import annotations

from math import isqrt

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from attnprof.contracts import Spec
from attnprof.layers.index_tables import table
from attnprof.layers.row_order import arranged
from attnprof.layers.softmax import hide
from attnprof.layers.stacked import stacked as in_order
from attnprof.words import Level


class Core(nn.Module):
    """`q, k, v [b, h, n, d]` in raster order; `bias [(2 M - 1)^2, h]` is learned."""

    hidden: Tensor | None
    offsets: Tensor
    there: Tensor
    back: Tensor

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.spec, self.n, self.window = spec, spec.shape.n, spec.number("window")
        self.height, self.width = grid(spec)
        self.shift = spec.number("shift") if spec.layer % 2 else 0
        self.merging = bool(spec.params["merging"])
        self.bias = nn.Parameter(torch.randn((2 * self.window - 1) ** 2, spec.shape.heads) * 0.02)
        self.register_buffer("offsets", table(offsets(self.window)))
        token, region = self._places()
        apart = region[:, :, None] != region[:, None]
        self.register_buffer("hidden", table(apart) if apart.any() else None)
        self.register_buffer("there", table(token.ravel()))
        self.register_buffer("back", table(np.argsort(token.ravel(), kind="stable")[: self.n]))

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        q, k, v = (self.windows(x) for x in (q * q.shape[-1] ** -0.5, k, v))
        area = self.window**2
        bias = self.bias.index_select(0, self.offsets).view(area, area, -1).permute(2, 0, 1)[:, None]
        scores = (q @ k.transpose(-2, -1)).add_(bias)
        if self.hidden is not None:
            hide(scores, self.hidden)
        return self.tokens(scores.softmax(-1) @ v)

    def reference(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """One masked softmax over all pairs, the bias looked up by the offset of rows and columns.

        Windows begin at shift, shift + M, ... on either side of the grid, and the first of a moved layer is cut off.
        """
        place, width = torch.arange(self.n, device=q.device), -(-self.n // (isqrt(self.n - 1) + 1))
        row, column = place // width, place % width
        window = torch.stack([(row - self.shift).div(self.window, rounding_mode="floor") for row in (row, column)])
        reach = self.window - 1
        down, right = ((x[:, None] - x).clamp(-reach, reach) + reach for x in (row, column))
        scores = torch.einsum("bhid,bhjd->bhij", q, k) / q.shape[-1] ** 0.5
        scores = scores + self.bias[down * (2 * reach + 1) + right].permute(2, 0, 1)
        apart = (window[:, :, None] != window[:, None]).any(0)
        return scores.masked_fill(apart, float("-inf")).softmax(-1) @ v

    def windows(self, x: Tensor) -> Tensor:
        """`[b, h, n, d]` as `[b, h, windows, M^2, d]`: filled up to whole windows, moved up and left."""
        return arranged(x, self.there, self.back).unflatten(2, (-1, self.window**2))

    def tokens(self, x: Tensor) -> Tensor:
        """The opposite of `windows`."""
        return arranged(x.flatten(2, 3), self.back, self.there)

    def _places(self) -> tuple[np.ndarray, np.ndarray]:
        """Token (n where there is none) and region of each place of each window, `[windows, M^2]`.

        A region is what the move has not brought together; places without a token are one more.
        """
        rows, columns = self.height + -self.height % self.window, self.width + -self.width % self.window
        row, column = np.arange(rows)[:, None], np.arange(columns)
        token = np.where(column < self.width, row * self.width + column, self.n)
        token = np.roll(np.minimum(token, self.n), (-self.shift, -self.shift), (0, 1))
        region = 1 + (row >= rows - self.shift) * 2 + (column >= columns - self.shift)
        region = np.where(token < self.n, region, 0)
        return windowed(token, self.window), windowed(region, self.window)


def windowed(grid: np.ndarray, window: int) -> np.ndarray:
    """A grid of whole windows as `[windows, M^2]`."""
    tiled = grid.reshape(len(grid) // window, window, -1, window).swapaxes(1, 2)
    return tiled.reshape(-1, window**2)


class PatchMerging(nn.Module):
    """2 x 2 neighbours side by side, normalised, projected: `x [b, n, D]` on its grid to `[b, ceil(n / 4), 2 D]`."""

    def __init__(self, dim: int, height: int, width: int) -> None:
        super().__init__()
        self.height, self.width = height, width
        self.norm = nn.LayerNorm(4 * dim)
        self.reduction = nn.Linear(4 * dim, 2 * dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = F.pad(x, (0, 0, 0, self.height * self.width - x.shape[1])).unflatten(1, (self.height, self.width))
        x = F.pad(x, (0, 0, 0, self.width % 2, 0, self.height % 2))
        corners = [x[:, down::2, right::2] for right in (0, 1) for down in (0, 1)]
        return self.reduction(self.norm(torch.cat(corners, -1))).flatten(1, 2)


def stacked(layers: list[nn.Module], level: Level) -> nn.Module:
    """Both layers, and patch merging after them on request (not at level `core`, which has no width to double)."""
    core = next(part for layer in layers for part in layer.modules() if isinstance(part, Core))
    if level is Level.CORE or not core.merging:
        return in_order(layers, level)
    return nn.Sequential(*layers, PatchMerging(core.spec.shape.dim, core.height, core.width))


def grid(spec: Spec) -> tuple[int, int]:
    """Height and width of the grid."""
    height = isqrt(spec.shape.n - 1) + 1
    return height, -(-spec.shape.n // height)


def offsets(window: int) -> np.ndarray:
    """For each pair of tokens of a window the row of the bias table, `[M^2 * M^2]`."""
    row, column = np.divmod(np.arange(window**2), window)
    down, right = row[:, None] - row + window - 1, column[:, None] - column + window - 1
    return (down * (2 * window - 1) + right).ravel()


def flops_core(spec: Spec) -> int:
    """4 M^4 d a head and window of the filled-up grid."""
    shape, window = spec.shape, spec.number("window")
    height, width = grid(spec)
    windows = -(-height // window) * -(-width // window)
    return shape.batch * shape.heads * 4 * windows * window**4 * shape.d
