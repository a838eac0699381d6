"""What a query of a scheme sees: how many keys it reads at this n, and after how many layers all tokens reach it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from attnprof.quantities import USEFUL
from attnprof.records import BASELINES, JsonDict, Record
from attnprof.render.series import Series
from attnprof.words import Pass, RecordKind

NEARLY_ALL = 0.99
KnownReach = Literal["full", "never", "unknown"]


@dataclass(frozen=True, slots=True)
class Sight:
    """`keys`: what a query reads itself at `n`, mean over queries, heads and layers, of `of` that it may read.

    `through` names what stands between tokens where keys are not counted (a kernel, slots). `layers` to full reach are
    of the pattern at `pattern_n`, which need not be n; `certainty` is the engine's word for them.
    """

    label: str
    n: int
    of: float
    keys: float | None = None
    through: str = ""
    reaching: KnownReach = "unknown"
    layers: int | None = None
    pattern_n: int | None = None
    certainty: str = ""
    why: str = ""

    @property
    def whole(self) -> bool:
        """Whether the keys that it reads at this n are all that there are: nothing is left out yet."""
        return self.keys is not None and self.keys >= NEARLY_ALL * self.of

    @property
    def share(self) -> float | None:
        """The part of the keys it may read that a query does read, all through slots or a kernel; None: not known."""
        if self.through:
            return 1.0
        return None if self.keys is None else min(self.keys / self.of, 1.0)

    def reads(self, least: float) -> bool:
        """Whether it is known to read at least this part of what it may."""
        return not least or (self.share is not None and self.share >= min(least, NEARLY_ALL))

    def reaches(self, within: int | None) -> bool:
        """Whether every allowed token is known to be reached within so many layers (None: at any depth)."""
        return self.layers is not None and (within is None or self.layers <= within)


Graphs = Mapping[tuple[str, bool], Record]


def graphs_of(records: Iterable[Record]) -> Graphs:
    """The graph records by target and causality, the longest pattern of each."""
    found: dict[tuple[str, bool], Record] = {}
    for record in records:
        if record.kind is RecordKind.GRAPH and record.metrics is not None:
            key = (record.point.target, record.point.shape.causal)
            if key not in found or found[key].point.shape.n <= record.point.shape.n:
                found[key] = record
    return found


def sight(series: Series, n: int, causal: bool | None, graphs: Graphs) -> Sight:
    """What a query of this series sees at n, as far as its records say."""
    record = next((r for r in series.records if r.point.shape.n == n), None)
    keys = None if record is None else keys_read(record)
    allowed = _allowed(record, n, causal)
    if series.target in BASELINES:
        return Sight(series.label, n, allowed, keys or allowed, "", "full", 1, n, "exact")
    graph = graphs.get((series.target, causal)) if causal is not None else None
    if graph is None:
        other = graphs.get((series.target, not causal)) if causal is not None else None
        text = "its pattern was analysed with the other mask only" if other else "its pattern was not analysed"
        return Sight(series.label, n, allowed, keys, "" if other is None else _through(other), why=text)
    metrics = graph.metrics or {}
    layers = metrics.get("layers_to_full")
    reason = str((metrics.get("reasons") or {}).get("layers_to_full", ""))
    certainty = str((metrics.get("exact") or {}).get("layers_to_full", "exact" if layers is not None else ""))
    reaching: KnownReach = "full" if layers is not None else "never" if reason.startswith("never") else "unknown"
    through = _through(graph)
    if keys is not None and keys > allowed / NEARLY_ALL:  # its edges cost more than others': they cannot be told so
        keys = allowed if layers == 1 and graph.point.shape.n <= n else None
    return Sight(
        series.label,
        n,
        allowed,
        None if through else keys,
        through,
        reaching,
        layers,
        graph.point.shape.n,
        certainty,
        reason,
    )


def _through(graph: Record) -> str:
    metrics = graph.metrics or {}
    return "kernel" if metrics.get("kernel") else "slots" if metrics.get("slots") else ""


def _allowed(record: Record | None, n: int, causal: bool | None) -> float:
    """The keys that a query may read, mean over queries."""
    keys = n if record is None else record.point.shape.keys
    if record is not None and record.point.pass_ is Pass.DECODE:
        return float(keys)
    return (keys + 1) / 2 if causal and keys == n else float(keys)


def keys_read(record: Record) -> float | None:
    """Edges a query, head and layer, from the useful FLOPs of the core: 2 (d + d_v) each, three times in training."""
    useful, shape = USEFUL.read(record), record.point.shape
    if useful is None or not shape.d or record.point.unknown:
        return None
    queries = 1 if record.point.pass_ is Pass.DECODE else shape.n
    times = 3 if record.point.pass_ is Pass.TRAIN else 1
    per_edge = 2 * (shape.d + shape.d_v)
    return useful.value / (times * shape.batch * shape.heads * shape.repeats * per_edge * queries)


def reach_curve(graphs: Graphs, target: str, causal: bool) -> tuple[int, list[tuple[int, float]]] | None:
    """The share of allowed pairs within reach after each layer, with the n of the pattern; None where it is unknown."""
    record = graphs.get((target, causal))
    entries: list[JsonDict] = [] if record is None else list((record.metrics or {}).get("reach") or [])
    if record is None or not entries:
        return None
    return record.point.shape.n, [(int(e["layer"]), float(e["share"])) for e in entries]
