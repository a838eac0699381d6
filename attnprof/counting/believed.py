"""What is believed of a user's code: a run on fake tensors where it does what a real run does, else the real run.

Libraries ask whether they are traced, and code may read values; both take another path on fake tensors, or none.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any
from weakref import WeakKeyDictionary

import torch

from attnprof.contracts import Target
from attnprof.counting.built import Built, build, build_real, built_once
from attnprof.counting.eagerly import eagerly, quietly
from attnprof.counting.observed import Notes, Observed
from attnprof.counting.origin import Origin
from attnprof.counting.running import CountedRun, run_pass
from attnprof.errors import AttnprofError, Unsupported, out_of_memory
from attnprof.shapes import Shape
from attnprof.units import format_bytes, format_length
from attnprof.usercode import UserCode, failure, own_mistakes
from attnprof.words import Pass

SMALL = (64, 128)
SHORT = 512
MOST_BYTES = 2**30
MOST_FLOPS = 3 * 10**11
MOST_CALLS = 300_000
NAMED = 3

REAL = "counted_on_real_tensors"
DIFFERS = "differs_when_traced"
UNCOMPARED = "not_compared_with_a_real_run"
DEPENDS = "depends_on_data"
SPARSE = "workspace_of_sparse_kernels_unknown"


class TooLong(Unsupported):
    """A length at which code that has to be run on real tensors would take too much memory or work."""


@dataclass(frozen=True, slots=True)
class Observation:
    """A run that was counted, and what has to be said of how."""

    built: Built
    run: CountedRun
    flags: tuple[str, ...] = ()
    reasons: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FakeVerdict:
    """Whether fake tensors may stand for real ones, and why not; or why that could not be seen."""

    trusted: bool
    flags: tuple[str, ...] = ()
    why: str = ""


@dataclass(frozen=True, slots=True, order=True)
class Taken:
    """What a real run at a length took: bytes at the peak, FLOPs, operators."""

    n: int
    batch: int
    bytes: int
    flops: int
    calls: int

    def allows(self, n: int, batch: int) -> bool:
        """Whether a run at another length stays within what may be spent, if it grows at most as n²."""
        grown = Fraction(n, self.n) ** 2 * Fraction(batch, self.batch)
        return (
            grown * self.bytes <= MOST_BYTES and grown * self.flops <= MOST_FLOPS and grown * self.calls <= MOST_CALLS
        )


MakeOrigin = Callable[[Built, Shape], Origin]


def usual_origin(built: Built, shape: Shape) -> Origin:
    """The origin that tells the core of a module from the rest."""
    return built.origin(shape)


def no_origin(built: Built, shape: Shape) -> Origin:
    """An origin that asks nothing: everything is core."""
    return Origin()


def observe(
    target: Target, shape: Shape, pass_: Pass, origin: MakeOrigin = usual_origin, *, once: bool = False
) -> Observation:
    """One pass, counted: on fake tensors, or on real ones where the target is not ours and fake ones mislead.

    `once` remembers what was built for the next pass. Raises `TooLong` where only a real run would do and does not
    fit, and `Failed` with how it was called where the target's own code raises.
    """
    if not isinstance(target, UserCode):
        built = (built_once if once else build)(target, shape)
        return Observation(built, run_pass(built, shape, pass_, origin(built, shape)))
    judged = verdict(target, shape, pass_)
    if judged.trusted:
        try:
            with eagerly():
                built = (built_once if once else build)(target, shape)
                run = run_pass(built, shape, pass_, origin(built, shape))
            return Observation(built, run, judged.flags, {"real_run": judged.why} if judged.why else {})
        except (AttnprofError, MemoryError):
            raise
        except Exception as error:
            judged = FakeVerdict(False, why=_said(error))
            return _really(target, shape, pass_, origin, judged, error)
    return _really(target, shape, pass_, origin, judged)


def _really(
    target: UserCode,
    shape: Shape,
    pass_: Pass,
    origin: MakeOrigin,
    judged: FakeVerdict,
    error: Exception | None = None,
) -> Observation:
    """The run on real tensors, if it fits."""
    check_fits(target, shape, pass_, judged.why)
    try:
        built, run, notes = real_run(target, shape, pass_, origin)
    except (AttnprofError, MemoryError):
        raise
    except Exception as real:
        if out_of_memory(real):
            raise
        raise failure(target, shape, real) from (error or real)
    flags = (REAL, *judged.flags, *((SPARSE,) if notes.sparse else ()))
    return Observation(built, run, flags, {"method": judged.why})


def real_run(
    target: UserCode, shape: Shape, pass_: Pass, origin: MakeOrigin = usual_origin
) -> tuple[Built, CountedRun, Notes]:
    """One pass on real tensors, counted; random numbers are as before afterwards."""
    notes = Notes()
    with torch.random.fork_rng(devices=[]), quietly():
        built = build_real(target, shape)
        run = run_pass(built, shape, pass_, origin(built, shape), functools.partial(Observed, notes=notes))
    memory(target).took[family(shape), pass_, shape.n] = Taken(
        shape.n, shape.batch, run.lives.peak, run.tally.flops, run.calls
    )
    return built, run, notes


def _fake_run(target: UserCode, shape: Shape, pass_: Pass) -> tuple[CountedRun, Notes]:
    notes = Notes()
    with eagerly():
        built = build(target, shape)
        counter = functools.partial(Observed, notes=notes)
        return run_pass(built, shape, pass_, built.origin(shape), counter), notes


def built_to_trust(target: Target, shape: Shape) -> Built:
    """The target on fake tensors, if they may stand for real ones. Raises `Unsupported` where they may not."""
    why = why_not_traced(target, shape)
    if why:
        raise Unsupported(why)
    with own_mistakes(target, shape):
        return build(target, shape)


def as_believed(target: Target) -> AbstractContextManager[None]:
    """Where fake tensors of a target have to run, so that they do what the comparison with a real run was made of."""
    return eagerly() if isinstance(target, UserCode) else contextlib.nullcontext()


def why_not_traced(target: Target, shape: Shape) -> str:
    """Why no formula may rest on fake tensors; empty for what is ours, or behaves on them as on real ones."""
    if not isinstance(target, UserCode):
        return ""
    try:
        judged = verdict(target, shape, Pass.TRAIN)
    except AttnprofError as error:
        return error.message
    return "" if judged.trusted else f"it is counted on real tensors: {judged.why}"


@dataclass
class SeenRuns:
    """What was seen of one target: verdicts, and what real runs took."""

    verdicts: dict[object, FakeVerdict] = field(default_factory=dict)
    took: dict[tuple[Shape, Pass, int], Taken] = field(default_factory=dict)
    costs: dict[object, Any] = field(default_factory=dict)


_known: WeakKeyDictionary[object, SeenRuns] = WeakKeyDictionary()


def memory(target: UserCode) -> SeenRuns:
    """What was seen of a target so far."""
    return _known.setdefault(target, SeenRuns())


def family(shape: Shape) -> Shape:
    """Shapes that one comparison stands for: all lengths, batches and seeds."""
    return shape.replace(n=1, batch=1, seed=0)


def verdict(target: UserCode, shape: Shape, pass_: Pass) -> FakeVerdict:
    """Whether fake tensors may stand for real ones, by one run of each at a small length; remembered."""
    seen = memory(target).verdicts
    key = family(shape), pass_
    if key not in seen:
        seen[key] = _compared(target, shape, pass_)
    return seen[key]


def _compared(target: UserCode, shape: Shape, pass_: Pass) -> FakeVerdict:
    large = _too_large(target, shape)
    if large:
        return FakeVerdict(True, (UNCOMPARED,), large)
    why = ""
    for n in dict.fromkeys((*SMALL[:1], *((shape.n,) if shape.n <= SHORT else ()), *SMALL[1:])):
        small = shape.replace(n=n, batch=min(shape.batch, 2))
        try:
            _, real, noted = real_run(target, small, pass_)
        except (Unsupported, MemoryError):
            raise
        except Exception as error:
            why = why or f"it does not run at n = {n}: {_said(error)}"
            continue
        return _held_against(target, small, pass_, real, noted)
    return FakeVerdict(True, (UNCOMPARED,), why)


def _too_large(target: UserCode, shape: Shape) -> str:
    """Why a target is not run for real at all: its parameters alone."""
    try:
        held = build(target, shape.replace(n=SMALL[0])).param_bytes
    except AttnprofError:
        raise
    except Exception:
        return ""  # it can be made of real tensors only
    return "" if held <= MOST_BYTES else f"its parameters take {format_bytes(held)}: too large for a real run here"


def _held_against(target: UserCode, shape: Shape, pass_: Pass, real: CountedRun, noted: Notes) -> FakeVerdict:
    """The verdict by a fake run at the length of a real one."""
    try:
        fake, fake_notes = _fake_run(target, shape, pass_)
    except Exception as error:
        why, flags = f"it cannot be run on fake tensors: {_said(error)}", ()
    else:
        differing = difference(real, noted, fake, fake_notes)
        if not differing:
            return FakeVerdict(True)
        why, flags = f"at n = {shape.n}, {differing}", (DIFFERS,)
    _, other, _ = real_run(target, shape.replace(seed=shape.seed + 1), pass_)
    depends = (other.tally.flops, other.saved_bytes) != (real.tally.flops, real.saved_bytes)
    return FakeVerdict(False, (*flags, *((DEPENDS,) if depends else ())), why)


def difference(real: CountedRun, noted: Notes, fake: CountedRun, fake_notes: Notes) -> str:
    """How a run on fake tensors differs from a real one: operators on floating-point numbers, FLOPs, saved bytes."""
    more, less = fake_notes.operators - noted.operators, noted.operators - fake_notes.operators
    texts = []
    if more or less:
        named = [f"{'+' if some is more else '-'}{name}" for some in (more, less) for name, _ in some]
        texts.append(f"other operators run on fake tensors ({', '.join(list(dict.fromkeys(named))[:NAMED])})")
    for name, ours, theirs in (
        ("FLOPs", real.tally.flops, fake.tally.flops),
        ("saved bytes", real.saved_bytes, fake.saved_bytes),
    ):
        if ours != theirs:
            texts.append(f"{name} are {ours} on real tensors and {theirs} on fake ones")
    return "; ".join(texts)


def check_fits(target: UserCode, shape: Shape, pass_: Pass, why: str) -> None:
    """Raise `TooLong` unless a real run at this length is sure to fit, growing at most as n² from one that was made.

    Longer lengths are approached in steps, each real run bounding the next; the first is taken to fit.
    """
    took = memory(target).took
    before = 0
    for n in (*ladder(shape.n), shape.n):
        taken = max((t for (f, p, m), t in took.items() if (f, p) == (family(shape), pass_) and m <= n), default=None)
        if taken and taken.n < n and not taken.allows(n, shape.batch):
            raise TooLong(
                f"{target.source} has to be run on real tensors ({why}): "
                f"too large a run at n = {format_length(shape.n)}",
                hint=f"up to n = {format_length(before or taken.n)} it is counted",
            )
        if n < shape.n and not (taken and taken.n == n):
            with own_mistakes(target, shape):
                real_run(target, shape.replace(n=n), pass_)
        before = n


def ladder(n: int) -> tuple[int, ...]:
    """Shorter lengths on the way to one: its halves, so that blocks which divide it divide them too."""
    halves = [n]
    while halves[0] % 2 == 0 and halves[0] > SMALL[1]:
        halves.insert(0, halves[0] // 2)
    doubled = [SMALL[0] * 2**k for k in range(32) if SMALL[0] * 2**k < halves[0]]
    return (*(doubled if halves[0] > SMALL[1] else ()), *halves[:-1])


def _said(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:200] if lines else ''}".rstrip(": ")
