"""The reach curve: the share of allowed tokens within reach, layer by layer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from attnprof.records import GraphFacts, JsonObject

WIDTH, HEIGHT = 430, 260
LEFT, RIGHT, TOP, BOTTOM = 44, 12, 10, 34


@dataclass(frozen=True, slots=True)
class ReachCurve:
    """Paths in a box of `width` by `height`: the band from least to greatest, the mean, and what stands beside it."""

    width: int
    height: int
    band: str
    mean: str
    without: str
    dense: str
    full: float | None
    ticks: tuple[tuple[float, int], ...]
    levels: tuple[tuple[float, str], ...]
    left: float
    right: float
    bottom: float
    top: float


def curve(facts: GraphFacts) -> ReachCurve:
    """The curve of a target's facts; the layers run linearly up to 16 and logarithmically beyond."""
    reach = facts["reach"]
    rest = facts["without_globals"]
    others = rest["reach"] if rest else []
    last = max([entry["layer"] for entry in reach] + [min(entry["layer"], 16) for entry in others] + [2])
    place = _places(last)
    n = facts["n"]
    mean = [(place(0), _y(1 / n))] + [(place(e["layer"]), _y(e["share"])) for e in reach]
    gone = [(place(0), _y(1 / n))] + [(place(e["layer"]), _y(e["share"])) for e in others if e["layer"] <= last]
    ticks = sorted({k for k in (1, 2, 3, 4, 6, 8, 12, 16, 32, 64, 128, 256, 512, 1024, 4096) if k <= last} | {1})
    return ReachCurve(
        WIDTH,
        HEIGHT,
        _band(reach, place, n),
        _path(mean),
        _path(gone) if others else "",
        _path([(place(0), _y(1 / n)), (place(1), _y(1.0)), (place(last), _y(1.0))]),
        place(facts["layers_to_full"]) if facts["layers_to_full"] else None,
        tuple((place(k), k) for k in ticks),
        tuple((_y(share), f"{share:.0%}") for share in (0.0, 0.25, 0.5, 0.75, 1.0)),
        LEFT,
        WIDTH - RIGHT,
        HEIGHT - BOTTOM,
        TOP,
    )


def _places(last: int) -> Callable[[float], float]:
    from math import log2

    span = WIDTH - LEFT - RIGHT
    if last <= 16:
        return lambda layer: round(LEFT + span * layer / last, 2)
    return lambda layer: round(LEFT + span * log2(1 + layer) / log2(1 + last), 2)


def _y(share: float) -> float:
    return round(HEIGHT - BOTTOM - share * (HEIGHT - BOTTOM - TOP), 2)


def _band(reach: Sequence[JsonObject], place: Callable[[float], float], n: int) -> str:
    """The area between the least and the greatest reach of a position; empty where a sample cannot know them."""
    if any(entry["min"] is None for entry in reach):
        return ""
    low = [(place(0), _y(1 / n))] + [(place(e["layer"]), _y(e["min"] / n)) for e in reach]
    high = [(place(0), _y(1 / n))] + [(place(e["layer"]), _y(e["max"] / n)) for e in reach]
    return _path(low + high[::-1]) + "Z"


def _path(points: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:g},{y:g}" for x, y in points)
