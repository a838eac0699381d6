"""The ladder of engines: the first that understands a stack answers; `--engine` forces one."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass

from attnprof.errors import AttnprofError
from attnprof.graph.engines import by_slices, closed, csr, intervals, quotient, sampled, toeplitz
from attnprof.graph.layered import LayeredRelation
from attnprof.graph.reach import Reach, ReachRequest
from attnprof.words import EngineName

ALL_PAIRS = 1 << 18
MANY_SLICES = 64
ON_BLOCKS = "block-constant masks, on their blocks: given so, or recognised"


@dataclass(frozen=True, slots=True)
class Engine:
    """A way to find the reach: its name, what it understands, and whether the ladder should try it on a stack."""

    name: EngineName
    what: str
    run: Callable[[LayeredRelation, ReachRequest], Reach | None]
    tries: Callable[[LayeredRelation], bool] = lambda stack: True


def _worth_intervals(stack: LayeredRelation) -> bool:
    return stack.n >= 4096 and _slices_a_row(stack) <= 8


def _worth_slices(stack: LayeredRelation) -> bool:
    return stack.n <= ALL_PAIRS and _slices_a_row(stack) <= MANY_SLICES


def _worth_csr(stack: LayeredRelation) -> bool:
    return stack.n <= ALL_PAIRS


def _slices_a_row(stack: LayeredRelation) -> float:
    return max(sum(len(part.row) for part in parts) for parts in stack.relations) / stack.n


ENGINES: tuple[Engine, ...] = (
    Engine(EngineName.QUOTIENT, ON_BLOCKS, quotient.run, lambda stack: stack.blocked),
    Engine(EngineName.CLOSED, "complete layers, bands, hubs, and causal windows with sinks, by formula", closed.run),
    Engine(EngineName.TOEPLITZ, "causal masks that depend on i - j alone, by one search over lags", toeplitz.run),
    Engine(EngineName.QUOTIENT, ON_BLOCKS, quotient.run, lambda stack: not stack.blocked),
    Engine(
        EngineName.INTERVALS,
        "windows and other masks whose reach stays in few intervals",
        intervals.run,
        _worth_intervals,
    ),
    Engine(EngineName.SLICES, "any mask of few slices a row, 64 targets at a time", by_slices.run, _worth_slices),
    Engine(EngineName.CSR, "any mask, edge by edge, 64 targets at a time", csr.run, _worth_csr),
    Engine(EngineName.SAMPLED, "any mask, over a sample of tokens", sampled.run),
)


def solve(stack: LayeredRelation, ask: ReachRequest | None = None, engine: EngineName = EngineName.AUTO) -> Reach:
    """The reach of a stack by the first engine that understands it, or by the one named.

    Raises `AttnprofError` for a name that is not an engine, or an engine that does not understand the stack.
    """
    wanted = ask or ReachRequest()
    names = {each.name: each for each in ENGINES}
    forced = EngineName(engine) is not EngineName.AUTO
    for rung in (names[engine],) if forced else ENGINES:
        if not forced and not rung.tries(stack):
            continue
        began = time.perf_counter()
        reach = rung.run(stack, wanted)
        if reach is not None:
            closed = reach.closed and (reach.full or not wanted.drawn)
            seconds = time.perf_counter() - began
            return dataclasses.replace(reach, engine=reach.engine or rung.name, seconds=seconds, closed=closed)
    raise AttnprofError(
        f"the engine {engine!r} does not understand this pattern: it answers {names[engine].what}",
        hint="`--engine auto` takes the first that does; `slices` and `csr` answer any pattern",
    )
