"""What every thing that can be profiled looks like once it is through the catalogue's door."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from attnprof.errors import AttnprofError, Failed, out_of_memory, place_of
from attnprof.model import Shape, Value
from attnprof.words import Layout, Runner

if TYPE_CHECKING:
    from torch import Tensor, nn

    from attnprof.pattern import Card, Pattern


@dataclass(frozen=True, slots=True)
class Spec:
    """All that a core is built from: sizes, parameters at this n, its pattern, how that is executed, the layer."""

    shape: Shape
    params: Mapping[str, Value] = field(default_factory=dict)
    pattern: Pattern | None = None
    runner: Runner | None = None
    layer: int = 0

    def number(self, name: str) -> int:
        """An integer parameter."""
        value = self.params[name]
        assert isinstance(value, int), f"{name} is {value!r}, not an integer"
        return value


@runtime_checkable
class Target(Protocol):
    """Anything that can be profiled: a catalogue entry, a user's pattern file, a user's module."""

    @property
    def name(self) -> str:
        """What records and pages call it."""
        ...

    @property
    def card(self) -> Card:
        """Where it comes from and what it claims."""
        ...

    @property
    def parameters(self) -> Mapping[str, Value]:
        """Its parameters as given or by default; None where the value is a function of n."""
        ...

    @property
    def layers(self) -> int:
        """Layers of the smallest stack that it repeats; costs are totals over them."""
        ...

    @property
    def runner(self) -> Runner | None:
        """How its pattern is executed; None for a scheme that has no choice."""
        ...

    @property
    def runners(self) -> tuple[Runner, ...]:
        """The runners that can execute it, the default first."""
        ...

    def resolve(self, n: int) -> Mapping[str, Value]:
        """Its parameters at length n, as integers where the paper makes them functions of n."""
        ...

    def build(self, shape: Shape) -> nn.Module:
        """The module to profile. Raises `Unsupported` where the scheme does not define this shape."""
        ...

    def inputs(self, shape: Shape) -> tuple[Tensor, ...]:
        """Random inputs of the module: `x [b, n, D]`, or at level `core` the streams `[b, h, n, d]`."""
        ...

    def reference(self, shape: Shape) -> nn.Module:
        """The short oracle, with the state dict of `build(shape)`."""
        ...

    def pattern(self, shape: Shape) -> Pattern | None:
        """Who attends to whom; None where there are no edges to speak of."""
        ...

    def flops_paper(self, shape: Shape) -> int | None:
        """The paper's formula for the core, forward, all layers of the target, batch included; None without one."""
        ...


@dataclass(frozen=True, slots=True)
class Mixing:
    """What a probe of a module on real tensors showed: which axes of its inputs it mixes; None where nothing is known.

    `why` says why it could not be probed. `causal`: that no token moved one before it.
    """

    layout: Layout
    tokens: bool | None = None
    batch: bool | None = None
    batch_in_training: bool | None = None
    heads: bool | None = None
    causal: bool | None = None
    why: str = ""

    @property
    def flags(self) -> tuple[str, ...]:
        """What a reader of a cost must know, as flags of a record."""
        found = {
            f"layout:{self.layout}": self.layout in (Layout.NBD, Layout.BNHD),
            "tokens_never_mix": self.tokens is False,
            "batch_mixes": bool(self.batch),
            "batch_mixes_in_training": bool(self.batch_in_training) and not self.batch,
            "causal_seen": self.causal is True,
            "bidirectional_seen": self.causal is False,
            "not_probed": bool(self.why),
        }
        return tuple(flag for flag, holds in found.items() if holds)

    @property
    def reasons(self) -> dict[str, str]:
        """Why it was not probed, where it was not."""
        return {"mixing": self.why} if self.why else {}


@runtime_checkable
class UserCode(Target, Protocol):
    """A target whose code is not ours: nothing is believed of it that was not seen."""

    @property
    def source(self) -> str:
        """The text that finds it, which tells it from everything else of the same name."""
        ...

    @property
    def files(self) -> tuple[str, ...]:
        """Its own source files."""
        ...

    @property
    def takes(self) -> str:
        """What decides how it is made, in words: its constructor's parameters."""
        ...

    def unknown(self, shape: Shape) -> tuple[str, ...]:
        """Labels of a shape (`causal`, `heads`, `kv_heads`, `head_dim`, `level`) that nothing of the code is bound to."""
        ...

    def mixing(self, shape: Shape) -> Mixing:
        """What it mixes, as a probe at a small length shows. Raises `AttnprofError` where its layout is not known."""
        ...

    def called(self, shape: Shape) -> str:
        """How it is called at this shape, for a reader."""
        ...


def labels_of(target: Target, shape: Shape) -> tuple[str | None, tuple[str, ...]]:
    """The source of a target and the labels that nobody knows to be true of it; None and none for what is ours."""
    return (target.source, target.unknown(shape)) if isinstance(target, UserCode) else (None, ())


def causality_seen(flags: Iterable[str]) -> bool | None:
    """The causality that a probe saw, by the flags of its cost; None where it saw none."""
    return {"causal_seen": True, "bidirectional_seen": False}.get(
        next((flag for flag in flags if flag in ("causal_seen", "bidirectional_seen")), "")
    )


@contextlib.contextmanager
def own_mistakes(target: Target, shape: Shape) -> Iterator[None]:
    """Whatever a user's code raises as one `Failed` that says how it was called; memory that runs out stays that."""
    try:
        yield
    except (AttnprofError, MemoryError):
        raise
    except Exception as error:
        if not isinstance(target, UserCode) or out_of_memory(error):
            raise
        raise failure(target, shape, error) from error


def failure(target: UserCode, shape: Shape, error: BaseException) -> Failed:
    """The error for what a user's code raised when it was called at a shape, with the line of its own file."""
    lines = str(error).strip().splitlines()
    said = f"{type(error).__name__}: {lines[0] if lines else 'no message'}"
    return Failed(
        f"{target.source} fails{place_of(error, target.files)}: {said}", hint=f"it was called as {target.called(shape)}"
    )
