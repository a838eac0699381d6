"""What several visits of one point come to: samples by round, the interval over them, and the flags that remain."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TypeVar

from attnprof.interval import FEWEST_SAMPLES, Interval
from attnprof.modality import is_multimodal
from attnprof.records import BASELINES, Measured
from attnprof.stats import ROUNDS, over_rounds

T = TypeVar("T")
TIGHT = 0.03  # half the width of an interval, relative to its median, from which on no further round is needed
FLOOR = 3
# of all rounds together, not of the last
COUNTED = ("few_rounds", "few_samples", "cut_short", "wide_interval", "multimodal")


def merged(before: Measured | None, now: Measured) -> Measured:
    """What was measured up to now, with one more round. Memory is that of the first round which knows it."""
    if before is None:
        return now
    return replace(
        now,
        wall_s=joined(before.wall_s, now.wall_s),
        forward_s=joined(before.forward_s, now.forward_s),
        backward_s=joined(before.backward_s, now.backward_s),
        saved_bytes=now.saved_bytes if before.saved_bytes is None else before.saved_bytes,
        peak_bytes=now.peak_bytes if before.peak_bytes is None else before.peak_bytes,
        reserved_bytes=now.reserved_bytes if before.reserved_bytes is None else before.reserved_bytes,
        energy_j=before.energy_j if now.energy_j is None else now.energy_j,
        method=before.method if before.peak_bytes is not None else now.method,
    )


def joined(before: Interval | None, now: Interval | None) -> Interval | None:
    """The interval over the rounds of both."""
    if before is None or now is None:
        return before or now
    return over_rounds((*before.rounds, *now.rounds))


def flags_of(measured: Measured | None, raised: Iterable[str]) -> tuple[str, ...]:
    """The flags that visits raised, those that count samples or rounds replaced by what all rounds together say."""
    kept = [flag for flag in raised if flag not in COUNTED]
    wall = measured.wall_s if measured else None
    if wall is not None and wall.rounds:
        count = len(wall.samples)
        holds = {
            "few_rounds": len(wall.rounds) < ROUNDS,
            "few_samples": count < FEWEST_SAMPLES,
            "cut_short": count < FLOOR,
            "wide_interval": wall.half_width > TIGHT,
            "multimodal": is_multimodal(wall.rounds),
        }
        kept += [flag for flag, is_so in holds.items() if is_so]
    return tuple(dict.fromkeys(kept))


def rounds_of(measured: Measured | None) -> int:
    """In how many rounds a point was measured."""
    return len(measured.wall_s.rounds) if measured and measured.wall_s else 0


def is_tight(measured: Measured | None) -> bool:
    """Whether enough rounds have made the interval narrow enough."""
    wall = measured.wall_s if measured else None
    return wall is not None and len(wall.rounds) >= ROUNDS and wall.half_width <= TIGHT


def shuffled(things: Iterable[T], order: random.Random) -> list[T]:
    """The same things in random order."""
    found = list(things)
    order.shuffle(found)
    return found


def baselines_first(named: Sequence[tuple[str, T]], order: random.Random) -> list[T]:
    """Things by the names of their targets: the baselines, then the others, both in random order."""
    mixed = shuffled(named, order)
    return [thing for name, thing in mixed if name in BASELINES] + [t for name, t in mixed if name not in BASELINES]
