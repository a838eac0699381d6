"""Several layers as one module: the smallest stack that a scheme repeats."""

from __future__ import annotations

from collections.abc import Iterator

import torch.nn.functional as F
from torch import Tensor, nn

from attnprof.layers.attention import Attention
from attnprof.layers.turns import turn
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


class LayersInOrder(nn.Sequential):
    """Layers `x [b, n, D]` to its shape, one after the other; decoding keeps what each keeps, side by side."""

    def each(self) -> Iterator[Attention]:
        """The layers, as what they are."""
        for layer in self:
            assert isinstance(layer, Attention)
            yield layer

    def state(self, n: int) -> tuple[object, ...]:
        """What every layer keeps of n tokens, of random content."""
        return tuple(layer.state(n) for layer in self.each())

    def prefill(self, x: Tensor) -> tuple[object, ...]:
        """The states after the tokens `x [b, n, D]`: of each layer from what the one below says of them."""
        states, whole = [], self.padded(x)
        for layer in self.each():
            states.append(layer.prefill(whole[:, : x.shape[1]]))
            whole = layer(whole)
        return tuple(states)

    def step(self, x: Tensor, state: tuple[object, ...]) -> tuple[Tensor, tuple[object, ...]]:
        """Tokens more, `x [b, r, D]`, through all layers."""
        states = []
        for at, (layer, kept) in enumerate(zip(self.each(), state, strict=True)):
            turn.set(at)
            x, kept = layer.step(x, kept)
            states.append(kept)
        turn.set(0)
        return x, tuple(states)

    def padded(self, x: Tensor) -> Tensor:
        """As many rows as the layers are made for, which are causal."""
        return F.pad(x, (0, 0, 0, next(self.each()).made_for - x.shape[1]))


def stacked(layers: list[nn.Module], level: Level) -> nn.Module:
    """One module that runs the layers in order; a single layer as it is."""
    if len(layers) == 1:
        return layers[0]
    return Cores(layers) if level is Level.CORE else LayersInOrder(*layers)
