"""The words of attnprof as frozen records: what is costed, what it must cost, what it did cost.

Every number carries its unit in its name. A missing number is `None`, and `Record.reasons` says why.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self, TypeVar

from attnprof.flags import current
from attnprof.interval import Interval
from attnprof.shapes import LABELS, Shape
from attnprof.units import Value
from attnprof.words import DeviceName, Impl, Pass, RecordKind, Status

SCHEMA_VERSION = 2  # 1 called the implementation `runner`
T = TypeVar("T")

BASELINES = ("dense", "flash")

JsonObject = Mapping[str, Any]  # an object of JSON that is read: of which form says `run_files`, or who wrote it
JsonDict = dict[str, Any]  # one that is being made
GraphFacts = Mapping[str, Any]  # the `metrics` of a graph record: what each metric of `graph.metrics` states


@dataclass(frozen=True, slots=True)
class Point:
    """One thing to cost: target x implementation x shape x pass x device, with the parameters resolved at this n.

    `source` is the text that finds a target whose name does not: a user's code, and `call` how that is called.
    `unknown` names the labels (of `LABELS`) that nobody knows to be true of it: what the shape holds there says
    nothing, and a record has null.
    `machine` tells apart the machines of several runs that are read together; it is no part of a record.
    """

    target: str
    shape: Shape
    pass_: Pass = Pass.FORWARD
    device: DeviceName = DeviceName.CPU
    impl: Impl | str | None = None
    layers: int = 1
    params: Mapping[str, Value] = field(default_factory=dict)
    machine: str = ""
    source: str | None = None
    unknown: tuple[str, ...] = ()
    call: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "pass_", Pass(self.pass_))
        object.__setattr__(self, "device", DeviceName(self.device))
        object.__setattr__(self, "impl", None if self.impl is None else Impl(self.impl))

    @property
    def place(self) -> str:
        """The device, and the machine where there are several."""
        return f"{self.device}, {self.machine}" if self.machine else self.device.value

    def to_json(self) -> dict[str, Any]:
        """The flat object that a record holds under `point`."""
        shape = self.shape
        data = {
            "target": self.target,
            "source": self.source,
            "call": self.call,
            "impl": self.impl,
            "level": shape.level,
            "layers": self.layers,
            "depth": shape.depth,
            "n": shape.n,
            "m": shape.keys,
            "own_keys": shape.m is None,
            "pass": self.pass_,
            "causal": shape.causal,
            "batch": shape.batch,
            "heads": shape.heads,
            "kv_heads": shape.groups,
            "dim": shape.dim,
            "head_dim": shape.d,
            "v_head_dim": shape.d_v,
            "dtype": shape.dtype,
            "device": self.device,
            "seed": shape.seed,
            "params": dict(self.params),
        }
        return data | dict.fromkeys(self.unknown)

    def label(self, name: str) -> Any:
        """A label of the shape, or None where it is not known to be true of this target."""
        return None if name in self.unknown else LABELS[name](self.shape)

    @classmethod
    def from_json(cls, data: JsonObject) -> Self:
        """The point that `to_json` wrote."""
        names = {f.name for f in dataclasses.fields(Shape)}
        unknown = tuple(name for name in LABELS if name in data and data[name] is None)
        sizes = {k: v for k, v in data.items() if k in names and k not in unknown}
        sizes["m"] = None if data.get("own_keys", data["m"] == data["n"]) else data["m"]
        sizes["kv_heads"] = None if data["kv_heads"] == data["heads"] else data["kv_heads"]
        if "heads" in unknown:
            sizes["heads"] = 1  # divides any width
        return cls(
            target=data["target"],
            shape=Shape(**sizes),
            pass_=data["pass"],
            device=data["device"],
            impl=data["impl"] if "impl" in data else data["runner"],
            layers=data["layers"],
            params=dict(data["params"]),
            source=data.get("source"),
            unknown=unknown,
            call=data.get("call"),
        )


@dataclass(frozen=True, slots=True)
class OpCount:
    """How often one operator ran, and the FLOPs (multiply-add = 2) that its formula gives in total."""

    op: str
    calls: int
    flops: int = 0


@dataclass(frozen=True, slots=True)
class Certificate:
    """What a total rests on: the operators counted and not counted, the kernels and tiles assumed, the convention.

    `unknown_workspaces` names the operators whose kernels take memory for themselves that is not known to the byte:
    `peak_bytes` is exact where there are none.
    """

    counted: tuple[OpCount, ...] = ()
    uncounted: tuple[OpCount, ...] = ()
    backend: str | None = None
    tile: str | None = None
    convention: str = "multiply-add = 2 FLOPs"
    unknown_workspaces: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Cost:
    """What a point must spend, known without a device. FLOPs, operations and bytes, as integers."""

    flops_executed: int | None = None
    flops_core_executed: int | None = None
    selection_flops: int | None = None
    recurrence_flops: int | None = None
    flops_core_useful: int | None = None
    flops_paper: int | None = None
    exp_ops: int | None = None
    arith_ops: int | None = None
    select_ops: int | None = None
    saved_bytes: int | None = None
    peak_bytes: int | None = None
    param_grad_bytes: int | None = None
    param_bytes: int | None = None
    buffer_bytes: int | None = None
    state_bytes: int | None = None
    state_growth_bytes: int | None = None
    decode_read_bytes: int | None = None
    moved_bytes: int | None = None
    second_opinion: Mapping[str, int | None] = field(default_factory=dict)
    method: str | None = None
    certificate: Certificate | None = None


@dataclass(frozen=True, slots=True)
class Measured:
    """What a device did spend on a point: seconds, bytes, joules, megahertz, and how each was measured.

    `setup_s` went before and is in no other number: building, masks and index tables, compilation, autotuning, and the
    first run.
    """

    wall_s: Interval | None = None
    forward_s: Interval | None = None
    backward_s: Interval | None = None
    saved_bytes: int | None = None
    peak_bytes: int | None = None
    reserved_bytes: int | None = None
    energy_j: float | None = None
    clock_mhz: float | None = None
    threads: int | None = None
    setup_s: float | None = None
    method: str | None = None


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a point was expected to take before it was first run, in seconds.

    `run_s`, between `low_s` and `high_s`, is one run; `least_s` what measuring it takes at least.
    """

    run_s: float
    low_s: float
    high_s: float
    least_s: float


@dataclass(frozen=True, slots=True)
class Record:
    """One JSON line of a run: a point with its cost and measurement, or with its graph metrics.

    `limit` is what decided a status that depends on one: the seconds that the whole run may take (`over_budget`) or an
    answer (`timeout`), the bytes that were free (`predicted_oom`, `oom`). Where there is more, it is tried again.
    """

    kind: RecordKind
    key: str
    point: Point
    cost: Cost | None = None
    measured: Measured | None = None
    metrics: GraphFacts | None = None
    status: Status = Status.OK
    forecast: Forecast | None = None
    limit: float | None = None
    reasons: Mapping[str, str] = field(default_factory=dict)
    flags: tuple[str, ...] = ()
    schema_version: int = SCHEMA_VERSION

    def __post_init__(self) -> None:
        object.__setattr__(self, "kind", RecordKind(self.kind))
        object.__setattr__(self, "status", Status(self.status))

    def to_json(self) -> dict[str, Any]:
        """The record as one JSON object."""
        data = plain(self)
        data["point"] = self.point.to_json()
        return data

    @classmethod
    def from_json(cls, data: JsonObject) -> Self:
        """The record that `to_json` wrote; unknown keys of later versions are ignored."""
        cost, measured, forecast = data.get("cost"), data.get("measured"), data.get("forecast")
        return cls(
            kind=data["kind"],
            key=data["key"],
            point=Point.from_json(data["point"]),
            cost=None if cost is None else revive(Cost, cost),
            measured=None if measured is None else revive(Measured, measured),
            metrics=data.get("metrics"),
            status=data["status"],
            forecast=None if forecast is None else revive(Forecast, forecast),
            limit=data.get("limit"),
            reasons=dict(data.get("reasons") or {}),
            flags=current(data.get("flags") or ()),
            schema_version=data["schema_version"],
        )


def plain(value: object) -> Any:
    """Dataclasses, tuples and mappings as the dicts and lists that JSON knows."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    return value


def revive(cls: type[T], data: JsonObject) -> T:
    """A frozen record from its plain form, nested records included; unknown keys are ignored."""
    hints = _hints(cls)
    data = _of_rounds(data) if "rounds" in hints else data
    known = {k: _revived(hints[k], v) for k, v in data.items() if k in hints}
    return cls(**known)


def _of_rounds(data: JsonObject) -> JsonObject:
    """An interval as it is written now: with rounds, and with whether anything bounds it."""
    rounds = data.get("rounds", [data["samples"]] if data.get("samples") else [])
    return {"bounded": sum(map(len, rounds)) != 1, **data, "rounds": rounds}


def _hints(cls: type[object]) -> dict[str, object]:
    """The annotations of a record as types, found once: a run has thousands of records."""
    if cls not in _HINTS:
        _HINTS[cls] = typing.get_type_hints(cls)
    return _HINTS[cls]


_HINTS: dict[type[object], dict[str, object]] = {}


def _revived(hint: object, value: Any) -> Any:
    if value is None:
        return None
    if typing.get_origin(hint) is types.UnionType:
        hint = next(a for a in typing.get_args(hint) if a is not type(None))
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return revive(hint, value)
    if typing.get_origin(hint) is tuple:
        inner = typing.get_args(hint)[0]
        return tuple(_revived(inner, v) for v in value)
    return value


def content_hash(data: object) -> str:
    """A short, stable name for any plain JSON value: the key of a record, the folder of a run."""
    text = json.dumps(data, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
