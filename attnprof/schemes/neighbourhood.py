"""Neighbourhood attention: every query with the keys of its own window, gathered (Hassani et al. 2023)."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from attnprof.contracts import Spec, Written
from attnprof.layers.band_decoding import BandDecoding
from attnprof.layers.flex_kernel import FlexCore
from attnprof.layers.index_tables import table
from attnprof.layers.masked_softmax import MaskedCore
from attnprof.layers.softmax import hide, softmax_attention
from attnprof.pattern import grid_side, grid_width


class Core(BandDecoding, nn.Module):
    """`q [b, h, n, d]`, `k, v [b, g, n, d]` to `[b, h, n, d]`: as many products as a window has keys, and no more."""

    keys: Tensor
    absent: Tensor

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.spec = spec
        size = spec.shape.n, width(spec)
        self.register_buffer("keys", table(lambda: key_table(spec)[0], size, np.int64), persistent=False)
        self.register_buffer("absent", table(lambda: key_table(spec)[1], size), persistent=False)

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        groups, n = k.shape[1], q.shape[2]
        rows = (q * q.shape[-1] ** -0.5).unflatten(1, (groups, -1)).transpose(2, 3)
        near_k, near_v = (x.index_select(2, self.keys.flatten()).unflatten(2, (n, -1)) for x in (k, v))
        scores = rows @ near_k.transpose(-2, -1)
        hide(scores, self.absent[:, None])
        return (scores.softmax(-1) @ near_v).transpose(2, 3).flatten(1, 2)

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


def width(spec: Spec) -> int:
    """Keys of the fullest window."""
    line = spec.params["layout"] == "line"
    sizes = (spec.shape.n,) if line else (grid_width(spec.shape.n), grid_side(spec.shape.n))
    found = 1
    for size in sizes:
        found *= min(spec.number("kernel"), -(-size // spec.number("dilation")))
    return found


def key_table(spec: Spec) -> tuple[np.ndarray, np.ndarray]:
    """The keys of every query `[n, width]`, and which places are left over."""
    slices = spec.edges().expr(spec.layer).slices(spec.shape.n)
    first, keys = slices.csr()
    place = np.arange(width(spec))
    absent = place >= np.diff(first)[:, None]
    return keys[np.where(absent, first[:-1, None], first[:-1, None] + place)], absent


def flops_core(spec: Spec) -> int:
    """2 (d + d_v) a query, head and key of the fullest window."""
    shape = spec.shape
    return 2 * shape.batch * shape.heads * shape.n * width(spec) * (shape.d + shape.d_v)


def whole(spec: Spec) -> int:
    """2 n^2 (d + d_v) a head, under a mask."""
    shape = spec.shape
    return 2 * shape.batch * shape.heads * shape.n**2 * (shape.d + shape.d_v)


WRITTEN = {"eager": Written(Core, flops_core), "masked": Written(MaskedCore, whole), "flex": Written(FlexCore)}
