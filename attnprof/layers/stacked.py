"""Several layers as one module: the smallest stack that a scheme repeats."""

from __future__ import annotations

from torch import Tensor, nn

from attnprof.words import Level


class Cores(nn.Module):
    """Cores of several layer kinds on the same streams: the output of one gives the queries of the next."""

    def __init__(self, layers: list[nn.Module]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, q: Tensor, *streams: Tensor) -> Tensor:
        for layer in self.layers:
            q = layer(q, *streams)
        return q


def stacked(layers: list[nn.Module], level: Level) -> nn.Module:
    """One module that runs the layers in order; a single layer as it is."""
    if len(layers) == 1:
        return layers[0]
    return Cores(layers) if level is Level.CORE else nn.Sequential(*layers)
