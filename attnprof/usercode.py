"""A user's own code as a target: what it must tell, what a probe saw of it, and its mistakes as one clear error."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from attnprof.contracts import Target
from attnprof.errors import AttnprofError, Failed, line_of_code, out_of_memory, place_of
from attnprof.layered_target import LayeredTarget
from attnprof.shapes import Shape
from attnprof.words import Layout

if TYPE_CHECKING:
    from torch import Tensor, nn

LONGEST_TRIED = 1024
OF_SIZES = ("AssertionError", "size", "shape", "length", "divisible", "multiple", "dimension", "einops")
NO_GPU = ("active drivers", "Torch not compiled with", "no NVIDIA driver", "no kernel image", "HIP error")
ADVICE = (
    (
        NO_GPU,
        "its kernel needs a GPU: choose its path in plain torch, by a `naive_...` function of the same package, "
        "attn_implementation=eager or sdpa, or a flag of its constructor",
    ),
    (
        ("got Double", "not implemented for 'Double'"),
        "its kernel takes no float64, in which edges are told from rounding: choose its path in plain torch, by a flag "
        "of its constructor or config (of experts in transformers: --config-arg experts_implementation=eager)",
    ),
    (('missing the required "forward"',), "define forward(self, x)"),
)


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
    def defaults(self) -> Mapping[str, int]:
        """The sizes that it has where none is asked for: `kv_heads` of a constructor with a default for it."""
        ...

    @property
    def takes(self) -> str:
        """What decides how it is made, in words: its constructor's parameters."""
        ...

    @property
    def sizes(self) -> Mapping[str, int]:
        """The sizes (`dim`, `heads`, `kv_heads`) that it has whatever is asked for: of its arguments, or as built."""
        ...

    def unknown(self, shape: Shape) -> tuple[str, ...]:
        """Labels of a shape (`causal`, `heads`, `kv_heads`, `head_dim`, `level`) that bind to nothing of the code."""
        ...

    def reads_keys_of_its_own(self, shape: Shape) -> bool:
        """Whether it is given keys or a memory whose length m is not that of its queries."""
        ...

    def mixing(self, shape: Shape) -> Mixing:
        """What it mixes, as a probe at a small length shows. Raises `AttnprofError` where its layout is not known."""
        ...

    def followed(self, shape: Shape) -> tuple[nn.Module, Callable[[], tuple[Tensor, ...]]]:
        """The module as one that takes its streams alone, whatever else it is given held for it, and what draws them.

        Raises `AttnprofError` where its streams are no floating-point numbers.
        """
        ...

    def streams(self, shape: Shape) -> tuple[bool, ...]:
        """Of each of its inputs, whether its tokens are the queries; anything else stays as it is in a test."""
        ...

    def length_near(self, shape: Shape) -> int | None:
        """The length of a shape where it runs there, else the nearest at which it does; None where there is none."""
        ...

    def called(self, shape: Shape) -> str:
        """How it is called at this shape, for a reader."""
        ...

    def call(self, shape: Shape) -> str:
        """How it is called at any length, for a record: `forward(hidden_states=[1, n, 512])`."""
        ...


def labels_of(target: Target, shape: Shape) -> tuple[str | None, tuple[str, ...]]:
    """The source of a target and the labels that nobody knows to be true of it; None and none for what is ours.

    Of a stack, those that are not the same for all its layers.
    """
    if isinstance(target, LayeredTarget):
        return None, target.differing(shape)
    return (target.source, target.unknown(shape)) if isinstance(target, UserCode) else (None, ())


def remarks(target: UserCode, shape: Shape) -> tuple[str, ...]:
    """What a reader of its cost must know, as flags: what a probe saw, and what that says of what was asked for."""
    mixing = target.mixing(shape)
    claims = shape.causal and "causal" not in target.unknown(shape)
    found = {
        "future_leaks": claims and mixing.causal is False,
        "made_for_each_length": any("{n}" in str(value) for value in target.parameters.values()),
    }
    return (*mixing.flags, *(flag for flag, holds in found.items() if holds))


def call_of_code(target: Target, shape: Shape) -> str | None:
    """How a user's code is called at any length; None for what is ours."""
    return target.call(shape) if isinstance(target, UserCode) else None


def fitted(target: Target, shape: Shape, explicit: Collection[str] = ()) -> Shape:
    """The shape with the sizes that a user's code has of its own. Raises `AttnprofError` for another one asked for."""
    if isinstance(target, LayeredTarget):
        return target.fitted(shape, explicit)
    if not isinstance(target, UserCode):
        return shape
    asked = {"dim": shape.dim, "heads": shape.heads, "kv_heads": shape.groups}
    for name, size in target.sizes.items():
        if name in explicit and asked[name] != size:
            raise AttnprofError(
                f"{target.source} has {name} = {size}, and {name} = {asked[name]} is asked for",
                hint=f"leave {name} out, or make one of that size",
            )
    said = {"kv_heads": shape.kv_heads, "head_dim": shape.head_dim}
    unasked = {name: size for name, size in target.defaults.items() if name in said and said[name] is None}
    return shape.replace(**{**unasked, **target.sizes})


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
    except AttnprofError as error:
        if type(error) is not AttnprofError or not isinstance(target, UserCode) or _names(error.message, target):
            raise
        raise AttnprofError(f"{target.source}: {error.message}", hint=error.hint, exit_code=error.exit_code) from error
    except (Exception, SystemExit) as error:
        if isinstance(error, MemoryError) or not isinstance(target, UserCode) or out_of_memory(error):
            raise
        raise failure(target, shape, error) from error


def _names(message: str, target: UserCode) -> bool:
    """Whether a message says of which target it is."""
    return re.search(rf"(?<!\w){re.escape(target.name)}(?!\w)", message) is not None


def failure(target: UserCode, shape: Shape, error: BaseException) -> Failed:
    """The error for what a user's code raised when it was called at a shape, with the line of its own file."""
    lines = str(error).strip().splitlines()
    said = f"{type(error).__name__}: {lines[0] if lines else line_of_code(error, target.files) or 'no message'}"
    place = place_of(error, target.files, target.source)
    other = _other_length(target, shape, said)
    advice = [] if other is None else [f"it runs at n = {other}"]
    advice += [what for words, what in ADVICE if any(word in said for word in words)]
    called = f"it was called as {target.called(shape)}"
    return Failed(f"{target.source} fails{place}: {said}", hint="; ".join([called, *advice]))


def _other_length(target: UserCode, shape: Shape, said: str) -> int | None:
    """A length at which it does run, where what it said is of sizes."""
    if not any(word in said for word in OF_SIZES):
        return None
    found = target.length_near(shape.replace(n=min(shape.n, LONGEST_TRIED)))
    return None if found == shape.n else found
