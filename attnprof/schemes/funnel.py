"""Funnel-Transformer: blocks of layers on a sequence that is pooled between them (Dai et al. 2020, section 2.2)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from attnprof.contracts import Spec
from attnprof.layers.pooling import pooled
from attnprof.layers.softmax import Softmax
from attnprof.words import Level


class Core(Softmax):
    """`q [b, h, n_s, d]` of the pooled positions of a block over `k, v [b, g, n_(s-1), d]` of the block below."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.stride = spec.number("stride")


class Pyramid(nn.Module):
    """The first layer of each block, whose queries alone are pooled, and the decoder's way back: `x [b, n, D]` to same.

    Back at full length every pooled position is repeated, and what the first block said of each token is added.
    """

    def __init__(self, layers: list[nn.Module], stride: int) -> None:
        super().__init__()
        self.layers, self.stride = nn.ModuleList(layers), stride

    def forward(self, x: Tensor) -> Tensor:
        first = y = self.layers[0](x)
        for layer in self.layers[1:]:
            y = layer(pooled(y[:, None], self.stride, "mean")[:, 0], y)
        times = self.stride ** (len(self.layers) - 1)
        return first + y.repeat_interleave(times, 1)[:, : x.shape[1]]

    def reference(self, x: Tensor) -> Tensor:
        """The same from means of slices; token i reads the pooled position floor(i / stride^(blocks - 1))."""
        first = y = self.layers[0](x)
        for layer in self.layers[1:]:
            y = layer(torch.stack([part.mean(1) for part in y.split(self.stride, 1)], 1), y)
        back = torch.arange(x.shape[1], device=x.device) // self.stride ** (len(self.layers) - 1)
        return first + y[:, back]


class PyramidCores(Pyramid):
    """The mixings alone: queries, keys and values of a block are the output of the one below."""

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:  # type: ignore[override]
        first = y = self.layers[0](q, k, v)
        for layer in self.layers[1:]:
            y = layer(pooled(y, self.stride, "mean"), y, y)
        times = self.stride ** (len(self.layers) - 1)
        return first + y.repeat_interleave(times, 2)[:, :, : q.shape[2]]

    def reference(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:  # type: ignore[override]
        """The same from means of slices."""
        first = y = self.layers[0](q, k, v)
        for layer in self.layers[1:]:
            y = layer(torch.stack([part.mean(2) for part in y.split(self.stride, 2)], 2), y, y)
        back = torch.arange(q.shape[2], device=q.device) // self.stride ** (len(self.layers) - 1)
        return first + y[:, :, back]


def stacked(layers: list[nn.Module], level: Level) -> nn.Module:
    """The pyramid; a single block is its layer."""
    if len(layers) == 1:
        return layers[0]
    stride = next(core.stride for layer in layers for core in layer.modules() if isinstance(core, Core))
    return (PyramidCores if level is Level.CORE else Pyramid)(layers, stride)


def flops_core(spec: Spec) -> int:
    """4 n_s n_(s-1) d a head in block s, n_s = ceil(n / stride^s); 4 n^2 d in the first."""
    shape, stride = spec.shape, spec.number("stride")
    lengths = [-(-shape.n // stride**s) for s in (spec.layer, max(spec.layer - 1, 0))]
    return 4 * shape.batch * shape.heads * shape.d * lengths[0] * lengths[1]
