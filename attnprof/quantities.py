"""The one table of quantities: what a record may hold, in which unit, under which names, and whether it adds up.

Records, the rows of `cost`, the tables, panels and CSV of a report and `compare` read it; a quantity is one row of
`QUANTITIES`. One that follows from others (`derived`) needs no field of a record.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from attnprof.errors import unknown
from attnprof.interval import Interval
from attnprof.records import Cost, Measured, Record


class Unit(StrEnum):
    """What a quantity is counted in."""

    FLOPS = "flops"
    OPS = "ops"
    BYTES = "bytes"
    SECONDS = "s"
    JOULES = "j"


class Side(StrEnum):
    """Where a record holds a quantity: what must be spent, what was spent, or the latter where it is known."""

    COST = "cost"
    MEASURED = "measured"
    EITHER = "either"


@dataclass(frozen=True, slots=True)
class Reading:
    """A value of one record; `predicted` where it follows from the code and no device has confirmed it.

    Without `low` and `high` it is what it is, unless it is `unbounded`: measured, and how surely is not known.
    """

    value: float
    low: float | None = None
    high: float | None = None
    predicted: bool = False
    unbounded: bool = False


@dataclass(frozen=True, slots=True)
class Quantity:
    """A named number. What adds up over layers is divided by them where schemes are compared; a peak never is.

    `title` heads tables and panels, `phrase` stands in a sentence, `short` where there is little room, `column` heads
    the table of `attnprof cost`, which leaves out a quantity without one. `derived` computes it from the others of a
    cost, by their keys, and gives None where one is missing.
    """

    key: str
    unit: Unit
    title: str
    phrase: str
    side: Side = Side.COST
    additive: bool = True
    short: str = ""
    column: str = ""
    derived: Callable[[Mapping[str, Any]], float | None] | None = None

    def of_cost(self, cost: Mapping[str, float | None]) -> float | None:
        """Its value in a cost that is held as a mapping; None where it is missing."""
        return cost.get(self.key) if self.derived is None else self.derived(cost)

    def of_record(self, cost: Cost) -> float | None:
        """Its value in the cost of a record; None where it is missing."""
        return getattr(cost, self.key) if self.derived is None else self.derived(vars_of(cost))

    def source(self, record: Record) -> Reading | None:
        """The reading of a record as it stands there, over all layers; None where it holds none."""
        if self.side is not Side.COST and record.measured is not None:
            found = getattr(record.measured, self.key)
            if isinstance(found, Interval):
                return _timed(found)
            if found is not None:
                return Reading(float(found))
        if self.side is Side.MEASURED or record.cost is None:
            return None
        value = self.of_record(record.cost)
        return None if value is None else Reading(float(value), predicted=self.side is Side.EITHER)

    def read(self, record: Record) -> Reading | None:
        """The reading per layer, or None where the record holds none (its reasons say why)."""
        found = self.source(record)
        if found is None or found.value <= 0:
            return None
        layers = record.point.layers if self.additive else 1
        if layers == 1:
            return found
        low, high = (None if x is None else x / layers for x in (found.low, found.high))
        return Reading(found.value / layers, low, high, found.predicted, found.unbounded)


def _timed(found: Interval) -> Reading:
    if not found.bounded:
        return Reading(found.median, unbounded=True)
    return Reading(found.median, found.low, found.high)


def vars_of(held: Cost | Measured) -> dict[str, Any]:
    """The fields of a part of a record, by name."""
    return {field.name: getattr(held, field.name) for field in dataclasses.fields(held)}


WALL = Quantity("wall_s", Unit.SECONDS, "Wall time", "wall time", Side.MEASURED, short="Time")
FORWARD = Quantity("forward_s", Unit.SECONDS, "Forward time", "time of the forward", Side.MEASURED)
BACKWARD = Quantity("backward_s", Unit.SECONDS, "Backward time", "time of the backward", Side.MEASURED)
FLOPS = Quantity("flops_executed", Unit.FLOPS, "Executed FLOPs", "executed FLOPs", short="FLOPs", column="executed")
CORE = Quantity("flops_core_executed", Unit.FLOPS, "Core executed", "executed core FLOPs", column="core")
SELECTION = Quantity("selection_flops", Unit.FLOPS, "Selection executed", "FLOPs spent on choosing", column="selection")
RECURRENCE = Quantity(
    "recurrence_flops", Unit.FLOPS, "Recurrence", "FLOPs of the recurrence, token by token", column="recurrence"
)
USEFUL = Quantity("flops_core_useful", Unit.FLOPS, "Core useful", "useful core FLOPs", column="useful")
PAPER = Quantity("flops_paper", Unit.FLOPS, "Paper's formula", "FLOPs by the paper's formula")
EXP = Quantity("exp_ops", Unit.OPS, "Exponentials", "exponentials", column="exp")
ARITH = Quantity("arith_ops", Unit.OPS, "Elementwise operations", "elementwise operations")
SELECT = Quantity("select_ops", Unit.OPS, "Selection work", "selection work (sorting, gathering)")
SAVED = Quantity(
    "saved_bytes", Unit.BYTES, "Saved for backward", "bytes saved for backward", Side.EITHER, column="saved"
)
PEAK = Quantity(
    "peak_bytes", Unit.BYTES, "Peak memory", "peak memory", Side.EITHER, False, short="Memory", column="peak"
)
PARAM_GRADS = Quantity("param_grad_bytes", Unit.BYTES, "Parameter gradients", "bytes of the parameters' gradients")
PARAMS = Quantity("param_bytes", Unit.BYTES, "Parameters", "bytes of parameters", column="params")
BUFFERS = Quantity("buffer_bytes", Unit.BYTES, "Buffers", "bytes of buffers")
STATE = Quantity("state_bytes", Unit.BYTES, "State per sequence", "state", column="state")
STATE_GROWTH = Quantity("state_growth_bytes", Unit.BYTES, "State per token", "bytes of state a token")
READS = Quantity("decode_read_bytes", Unit.BYTES, "Bytes read per step", "bytes read per step")
MOVED = Quantity("moved_bytes", Unit.BYTES, "Bytes accessed", "bytes accessed")
ENERGY = Quantity("energy_j", Unit.JOULES, "Energy", "energy", Side.MEASURED, short="Energy")

QUANTITIES: tuple[Quantity, ...] = (
    WALL,
    FORWARD,
    BACKWARD,
    FLOPS,
    CORE,
    SELECTION,
    RECURRENCE,
    USEFUL,
    PAPER,
    EXP,
    ARITH,
    SELECT,
    SAVED,
    PEAK,
    PARAM_GRADS,
    PARAMS,
    BUFFERS,
    STATE,
    STATE_GROWTH,
    READS,
    MOVED,
    ENERGY,
)

PANELS: tuple[Quantity, ...] = (WALL, FLOPS, PEAK, SAVED, ENERGY)
TABULATED: tuple[Quantity, ...] = (WALL, FLOPS, CORE, USEFUL, PEAK, SAVED, STATE, READS, ENERGY)


def costed(quantities: Iterable[Quantity] | None = None) -> tuple[Quantity, ...]:
    """Those that a count gives, without a device."""
    return tuple(q for q in (QUANTITIES if quantities is None else quantities) if q.side is not Side.MEASURED)


def quantity(key: str) -> Quantity:
    """The quantity of this key. Raises `AttnprofError` for an unknown one, with the nearest."""
    for found in QUANTITIES:
        if found.key == key:
            return found
    raise unknown("quantity", key, [found.key for found in QUANTITIES])
