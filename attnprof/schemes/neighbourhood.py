"""Neighbourhood attention: tiles of queries with the keys of their windows, gathered (Hassani et al. 2023)."""

from __future__ import annotations

from math import isqrt, prod

import numpy as np
import torch
from torch import Tensor, nn

from attnprof.contracts import Spec, Written
from attnprof.layers.band_decoding import BandDecoding
from attnprof.layers.flex_kernel import FlexCore
from attnprof.layers.index_tables import table
from attnprof.layers.masked_softmax import MaskedCore
from attnprof.layers.row_order import arranged
from attnprof.layers.softmax import hide, softmax_attention
from attnprof.pattern import Axis, grid_side, grid_width

QUERIES = 64


class Core(BandDecoding, nn.Module):
    """`q [b, h, n, d]`, `k, v [b, g, n, d]` to `[b, h, n, d]`: tiles of queries, with the keys of all their windows."""

    rows: Tensor
    back: Tensor
    keys: Tensor
    absent: Tensor

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.spec = spec
        (tiles, rows, width), n = tile_sizes(spec), spec.shape.n
        tables = {"rows": (tiles * rows,), "back": (n,), "keys": (tiles, width), "absent": (tiles, rows, width)}
        for name, size in tables.items():
            kind = np.bool_ if name == "absent" else np.int64
            made = table(lambda name=name: tile_tables(spec)[name], size, kind)
            self.register_buffer(name, made, persistent=False)

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        tiles, size, _ = self.absent.shape
        rows = arranged(q * q.shape[-1] ** -0.5, self.rows, self.back)
        rows = rows.unflatten(2, (tiles, size)).unflatten(1, (k.shape[1], -1)).transpose(2, 3)
        near_k, near_v = (x.index_select(2, self.keys.flatten()).unflatten(2, self.keys.shape) for x in (k, v))
        scores = rows.flatten(3, 4) @ near_k.transpose(-2, -1)
        hide(scores.unflatten(3, (-1, size)), self.absent[:, None])
        mixed = (scores.softmax(-1) @ near_v).unflatten(3, (-1, size)).transpose(2, 3)
        return arranged(mixed.flatten(1, 2).flatten(2, 3), self.back, self.rows)

    def reference(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """One masked softmax: on each axis the places of one residue whose number lies in the window, moved inwards."""
        n, params = q.shape[2], self.spec.params
        place = q.new_ones(n).long().cumsum(0) - 1
        line = params["layout"] == "line"
        down = 1 if line else next(side for side in range(1, n + 1) if side * side >= n)
        across = -(-n // down)
        mask = torch.ones_like(place[:, None] == place)
        for at, length in ((place % across, across), (place // across, down)):
            if line and length == 1:
                continue
            step, size = int(str(params["dilation"])), int(str(params["kernel"]))
            own, count = at // step, (length - 1 - at % step) // step + 1
            first, last = own - size + 1, own
            if not self.spec.shape.causal:
                first = torch.minimum(own - size // 2, count - size).clamp(min=0)
                last = first + size - 1
            near = (own >= first[:, None]) & (own <= last[:, None])
            mask = mask & near & (at % step == (at % step)[:, None])
        return softmax_attention(q, k, v, mask)


def axes(spec: Spec) -> tuple[Axis, ...]:
    """The line, or the rows and the columns of the grid."""
    line, n = spec.params["layout"] == "line", spec.shape.n
    sizes = (n,) if line else (grid_side(n), grid_width(n))
    return tuple(Axis(size, spec.number("kernel"), spec.number("dilation"), spec.shape.causal) for size in sizes)


def tile_side(axis: Axis, count: int) -> int:
    """Places of one residue in a tile: 64 queries a tile, of one axis or two."""
    return min(QUERIES if count == 1 else isqrt(QUERIES), -(-axis.length // axis.dilation))


def tile_sizes(spec: Spec) -> tuple[int, int, int]:
    """Tiles, queries of a tile, and keys that their windows have together."""
    sizes = [1, 1, 1]
    for axis in (found := axes(spec)):
        side, step = tile_side(axis, len(found)), min(axis.dilation, axis.length)
        whole, more = divmod(axis.length, axis.dilation)
        sizes[0] *= more * -(-(whole + 1) // side) + (step - more) * -(-whole // side)
        sizes[1] *= side
        sizes[2] *= min(side + axis.kernel - 1, -(-axis.length // axis.dilation))
    return sizes[0], sizes[1], sizes[2]


def axis_tiles(axis: Axis, side: int) -> tuple[np.ndarray, np.ndarray]:
    """The places of every tile, `[tiles, side]`, and all that these read, `[tiles, width]`; -1 for none."""
    width, rows, keys = min(side + axis.kernel - 1, -(-axis.length // axis.dilation)), [], []
    for residue in range(min(axis.dilation, axis.length)):
        places = np.arange(residue, axis.length, axis.dilation)
        for first in places[::side]:
            rows.append(first + axis.dilation * np.arange(side))
            keys.append(axis.first(first) + axis.dilation * np.arange(width))
    return tuple(np.where((x := np.stack(found)) < axis.length, x, -1) for found in (rows, keys))  # type: ignore[return-value]


def tile_tables(spec: Spec) -> dict[str, np.ndarray]:
    """Queries and keys of the tiles, n for no query and 0 for no key; the place of each query; and who does not read.

    A row that stands for no query reads all: it would be divided by nothing.
    """
    n, found, last = spec.shape.n, axes(spec), axes(spec)[-1]
    query, key, reads = np.zeros((1, 1), np.int64), np.zeros((1, 1), np.int64), np.ones((1, 1, 1), np.bool_)
    for axis in found:
        rows, keys = axis_tiles(axis, tile_side(axis, len(found)))
        seen = axis.reads(rows[:, :, None], keys[:, None]) & (keys >= 0)[:, None]
        query, key = _crossed(query, rows, last.length), _crossed(key, keys, last.length)
        reads = (reads[:, None, :, None, :, None] & seen[None, :, None, :, None]).reshape(*query.shape, key.shape[1])
    query, key = np.where((query < 0) | (query >= n), n, query), np.where(key >= n, -1, key)
    back = np.zeros(n + 1, np.int64)
    back[query.ravel()] = np.arange(query.size)
    absent = ~(reads & (key >= 0)[:, None]) & (query < n)[..., None]
    return {"rows": query.ravel(), "back": back[:n], "keys": np.maximum(key, 0), "absent": absent}


def _crossed(above: np.ndarray, own: np.ndarray, width: int) -> np.ndarray:
    """Tokens of pairs of tiles of two axes, from rows of the grid and places within a row."""
    first, place = above[:, None, :, None], own[None, :, None, :]
    tokens = np.where((first < 0) | (place < 0), -1, first * width + place)
    return tokens.reshape(len(above) * len(own), -1)


def flops_core(spec: Spec) -> int:
    """2 (d + d_v) a head and pair of a tile: 64 queries and the keys of all their windows."""
    shape = spec.shape
    return 2 * shape.batch * shape.heads * prod(tile_sizes(spec)) * (shape.d + shape.d_v)


def whole(spec: Spec) -> int:
    """2 n^2 (d + d_v) a head, under a mask."""
    shape = spec.shape
    return 2 * shape.batch * shape.heads * shape.n**2 * (shape.d + shape.d_v)


WRITTEN = {"eager": Written(Core, flops_core), "masked": Written(MaskedCore, whole), "flex": Written(FlexCore)}
