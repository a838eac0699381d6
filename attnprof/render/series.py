"""Records as curves: one line for each scheme and implementation, among the points that may be compared."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from attnprof.quantities import Quantity, Reading
from attnprof.records import BASELINES, Point, Record, content_hash
from attnprof.settled import settled
from attnprof.units import Value
from attnprof.words import Pass, RecordKind, Status

EAGER = "eager"


@dataclass(frozen=True, slots=True)
class Conditions:
    """What must be equal for two points to be compared. `tokens` replaces `batch` where a sweep keeps b * n fixed.

    A label that nobody knows of a user's code is None, which is equal to nothing that is known.
    """

    level: str | None
    pass_: Pass
    causal: bool | None
    batch: int | None
    tokens: int | None
    heads: int | None
    kv_heads: int | None
    dim: int
    keys: int | None
    depth: int
    dtype: str
    device: str

    @property
    def order(self) -> tuple[object, ...]:
        """Where a reader expects these conditions: bidirectional first, forward before train before decode."""
        sizes = (self.depth, self.dim, self.heads, self.kv_heads, self.keys, self.batch, self.tokens)
        known = (self.device, self.level or "", _ordered(self.causal), list(Pass).index(self.pass_), self.dtype)
        return (*known, tuple(_ordered(size) for size in sizes))


def _ordered(value: int | None) -> tuple[bool, int]:
    """What is known before what is not."""
    return value is None, value or 0


@dataclass(frozen=True, slots=True)
class Series:
    """The records of one scheme by one implementation under one set of conditions, by rising n."""

    label: str
    target: str
    impl: str | None
    records: tuple[Record, ...]

    def readings(self, metric: Quantity) -> dict[int, Reading]:
        """The metric by n, where a record holds it."""
        found = ((r.point.shape.n, metric.read(r)) for r in self.records)
        return {n: reading for n, reading in found if reading is not None}

    def values(self, metric: Quantity) -> dict[int, float]:
        """The bare values of `readings`."""
        return {n: reading.value for n, reading in self.readings(metric).items()}

    @property
    def computed_by(self) -> str:
        """What its numbers are a property of: the implementation, or the kernel counted where none is named."""
        if self.impl is not None:
            return str(self.impl)
        held = (r.cost.certificate for r in self.records if r.cost is not None)
        backends = (c.backend for c in held if c is not None and c.backend)
        return next(backends, EAGER)

    @property
    def baseline(self) -> bool:
        """Whether this scheme attends to every pair, exactly: what the others are held against."""
        return self.target in BASELINES


@dataclass(frozen=True, slots=True)
class Group:
    """All series that share their conditions: what one figure shows and one comparison may use."""

    conditions: Conditions
    series: tuple[Series, ...]

    @property
    def lengths(self) -> tuple[int, ...]:
        """Every n of the group, rising."""
        return tuple(sorted({r.point.shape.n for s in self.series for r in s.records}))

    @property
    def records(self) -> tuple[Record, ...]:
        """The records of every series, in the order of the series."""
        return tuple(r for s in self.series for r in s.records)

    @property
    def baselines(self) -> tuple[Series, ...]:
        """The baselines among the series, in their fixed order."""
        return tuple(s for name in BASELINES for s in self.series if s.target == name)


def latest(records: Iterable[Record]) -> list[Record]:
    """One record a point, the last one written, in a stable order, its times settled."""
    by_point = {(r.kind, r.point.machine, content_hash(r.point.to_json())): r for r in records}
    return settled(sorted(by_point.values(), key=_record_order))


def why(record: Record) -> str:
    """The reason for the status of a record; empty where it is ok."""
    if record.status is Status.OK:
        return ""
    for name in ("status", record.status, "measured", "wall_s", "cost"):
        if name in record.reasons:
            return record.reasons[name]
    return next(iter(record.reasons.values()), "")


def groups(records: Iterable[Record]) -> tuple[Group, ...]:
    """The cost records, gathered by the conditions under which they may be compared."""
    costs = [r for r in latest(records) if r.kind is RecordKind.COST]
    alike: dict[tuple[object, ...], list[Record]] = defaultdict(list)
    for record in costs:
        alike[_all_but_batch(record.point)].append(record)
    found: dict[Conditions, list[Record]] = defaultdict(list)
    for members in alike.values():
        fixed_tokens = _keeps_tokens(members)
        for record in members:
            found[_conditions(record.point, fixed_tokens)].append(record)
    ordered = sorted(found.items(), key=lambda item: item[0].order)
    return tuple(Group(conditions, _series(members)) for conditions, members in ordered)


def _record_order(record: Record) -> tuple[object, ...]:
    point = record.point
    return (record.kind, point.target, point.impl or "", repr(_all_but_batch(point)), point.shape.n, record.key)


def _all_but_batch(point: Point) -> tuple[object, ...]:
    s = point.shape
    labels = tuple(point.label(name) for name in ("level", "causal", "heads", "kv_heads"))
    return (*labels, point.pass_, s.dim, s.m, s.depth, s.dtype, point.place)


def _keeps_tokens(records: Sequence[Record]) -> bool:
    """Whether the batch follows n so that b * n stays the same, and no n has two batches."""
    sizes = {(r.point.shape.n, r.point.shape.batch) for r in records}
    batches = {b for _, b in sizes}
    return len(batches) > 1 and len({n for n, _ in sizes}) == len(sizes) and len({n * b for n, b in sizes}) == 1


def _conditions(point: Point, fixed_tokens: bool) -> Conditions:
    s = point.shape
    return Conditions(
        level=point.label("level"),
        pass_=point.pass_,
        causal=point.label("causal"),
        batch=None if fixed_tokens else s.batch,
        tokens=s.batch * s.n if fixed_tokens else None,
        heads=point.label("heads"),
        kv_heads=point.label("kv_heads"),
        dim=s.dim,
        keys=s.m,
        depth=s.depth,
        dtype=s.dtype,
        device=point.place,
    )


def _series(records: Sequence[Record]) -> tuple[Series, ...]:
    by_target: dict[tuple[str, str | None], list[Record]] = defaultdict(list)
    for record in records:
        by_target[record.point.target, record.point.impl].append(record)
    impls: dict[str, set[str | None]] = defaultdict(set)
    for target, impl in by_target:
        impls[target].add(impl)
    found: list[Series] = []
    for (target, impl), members in by_target.items():
        name = target if len(impls[target]) == 1 else f"{target} · {impl}"
        found += _variants(name, target, impl, members)
    return tuple(sorted(found, key=series_order))


def series_order(series: Series) -> tuple[int, str]:
    """Baselines first, in their own order, then by name."""
    rank = BASELINES.index(series.target) if series.baseline else len(BASELINES)
    return rank, series.label


def _variants(name: str, target: str, impl: str | None, records: Sequence[Record]) -> list[Series]:
    """One series, or one for each setting of the parameters in which points of equal n differ."""
    varying = sorted(_varying(records))
    split: dict[tuple[Value, ...], list[Record]] = defaultdict(list)
    for record in records:
        split[tuple(_setting(record).get(k) for k in varying)].append(record)
    found: list[Series] = []
    for values, members in split.items():
        knobs = ", ".join(f"{k}={v}" for k, v in zip(varying, values, strict=True))
        by_n = {r.point.shape.n: r for r in members}
        ordered = tuple(by_n[n] for n in sorted(by_n))
        found.append(Series(f"{name} ({knobs})" if knobs else name, target, impl, ordered))
    return found


def _setting(record: Record) -> dict[str, Value]:
    return {**record.point.params, "seed": record.point.shape.seed}


def _varying(records: Sequence[Record]) -> set[str]:
    by_n: dict[int, list[dict[str, Value]]] = defaultdict(list)
    for record in records:
        by_n[record.point.shape.n].append(_setting(record))
    names: set[str] = set()
    for settings in by_n.values():
        names |= {k for s in settings for k in s if any(t.get(k) != s[k] for t in settings)}
    return names
