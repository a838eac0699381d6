"""The modules of a stack: blocks whose mixer or FFN may be missing, all in a row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor, nn

from attnprof.contracts import Continues, Steps
from attnprof.errors import Unsupported
from attnprof.layers.block import Positions
from attnprof.layers.outputs import first_output
from attnprof.shapes import Shape


class StackBlock(nn.Module):
    """x + mixer(LN(x)), then x + FFN(LN(x)), without what is None: the block of `layers.block` where both are there."""

    def __init__(self, dim: int, mixer: nn.Module | None, ffn: nn.Module | None) -> None:
        super().__init__()
        self.mixer, self.ffn = mixer, ffn
        self.before_mixer = None if mixer is None else nn.LayerNorm(dim)
        self.before_ffn = None if ffn is None else nn.LayerNorm(dim)

    def forward(self, x: Tensor) -> Tensor:
        if self.mixer is not None and self.before_mixer is not None:
            inner = self.before_mixer(x)  # lives as long as in `layers.block`
            x = x + self.mixer(inner)
        if self.ffn is not None and self.before_ffn is not None:
            x = x + self.ffn(self.before_ffn(x))
        return x

    def state(self, n: int) -> object:
        """The state of the mixer."""
        return state_of(self.mixer, n)

    def prefill(self, x: Tensor) -> object:
        """The state of the mixer after the tokens `x [b, n, D]`."""
        if self.mixer is None or self.before_mixer is None:
            return ()
        return prefilled(self.mixer, self.before_mixer(x))

    def step(self, x: Tensor, state: object) -> tuple[Tensor, object]:
        """One token more `[b, 1, D]`."""
        if self.mixer is not None and self.before_mixer is not None:
            mixed, state = stepped(self.mixer, self.before_mixer(x), state)
            x = x + mixed
        if self.ffn is not None and self.before_ffn is not None:
            x = x + self.ffn(self.before_ffn(x))
        return x, state


class NoMixing(nn.Module):
    """Stands where a mixer would, so that the rest of its block can be counted: it gives what it is given."""

    def forward(self, x: Tensor) -> Tensor:
        return x

    def state(self, n: int) -> tuple[()]:
        """It keeps nothing."""
        return ()

    def prefill(self, x: Tensor) -> tuple[()]:
        """It keeps nothing."""
        return ()

    def step(self, x: Tensor, state: tuple[()]) -> tuple[Tensor, tuple[()]]:
        """The token as it is."""
        return x, state


class OwnLayer(nn.Module):
    """A user's module as a layer: its first output."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, x: Tensor) -> Tensor:
        return first_output(self.module(x))


class StackState(NamedTuple):
    """The states of the layers after n tokens, bottom first."""

    n: int
    states: tuple[object, ...]


class LayerSequence(nn.Module):
    """The layers of a stack on `x [b, n, D]`; behind sinusoids where they are blocks, before a head if there is one."""

    def __init__(
        self, n: int, layers: Sequence[nn.Module], positions: Positions | None = None, head: nn.Module | None = None
    ) -> None:
        super().__init__()
        self.n = n
        self.positions, self.layers, self.head = positions, nn.ModuleList(layers), head

    def forward(self, x: Tensor) -> Tensor:
        if self.positions is not None:
            x = self.positions(x)
        for layer in self.layers:
            x = layer(x)
        return x if self.head is None else self.head(x)

    def state(self, n: int) -> StackState:
        """The states of all layers after n tokens, of random content."""
        return StackState(n, tuple(state_of(layer, n) for layer in self.layers))

    def prefill(self, x: Tensor) -> StackState:
        """The states after some tokens `x [b, <= n, D]`; layers that are made for n are given n, which are causal."""
        count, states = x.shape[-2], []
        x = nn.functional.pad(x, (0, 0, 0, self.n - count))
        if self.positions is not None:
            x = self.positions(x)
        for layer in self.layers:
            states.append(prefilled(layer, x[:, :count]))
            x = layer(x)
        return StackState(count, tuple(states))

    def step(self, x: Tensor, state: StackState) -> tuple[Tensor, StackState]:
        """One token more `[b, 1, D]`: its output, equal to the last row of the whole forward, and the next state."""
        if self.positions is not None:
            x = x + self.positions.one(state.n)
        states = []
        for layer, held in zip(self.layers, state.states, strict=True):
            x, after = stepped(layer, x, held)
            states.append(after)
        return x if self.head is None else self.head(x), StackState(state.n + 1, tuple(states))


def state_of(layer: nn.Module | None, n: int) -> object:
    """The state of a layer after n tokens. Raises `Unsupported` where it has none."""
    return () if layer is None else _decoding(layer).state(n)


def prefilled(layer: nn.Module, x: Tensor) -> object:
    """The state of a layer after the tokens `x [b, n, D]`."""
    return _decoding(layer).prefill(x)


def stepped(layer: nn.Module, x: Tensor, state: object) -> tuple[Tensor, object]:
    """One token more through a layer. Raises `Unsupported` where it takes no steps."""
    if not isinstance(layer, Steps):
        raise Unsupported(
            f"{type(layer).__name__}, a layer of the stack, defines no decoding step",
            hint="a module decodes with `state(n)` and `step(x, state)`",
        )
    return layer.step(x, state)


def _decoding(layer: nn.Module) -> Continues:
    if not isinstance(layer, Continues):
        raise Unsupported(
            f"{type(layer).__name__}, a layer of the stack, defines no decoding state",
            hint="a module decodes with `state(n)`, `prefill(x)` and `step(x, state)`",
        )
    return layer


def head_of(shape: Shape, vocab: int) -> nn.Module:
    """The last norm and the logits: 2 D V FLOPs a token."""
    return nn.Sequential(nn.LayerNorm(shape.dim), nn.Linear(shape.dim, vocab, bias=False))
