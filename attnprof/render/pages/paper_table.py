"""The table of a paper: one n, the baseline at 1.00, every number with its doubt, parameters beside the names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from attnprof.quantities import Quantity
from attnprof.render.claims import told
from attnprof.render.claims.choice import Candidate, Ranking
from attnprof.render.claims.evidence import Evidence, PointState
from attnprof.render.claims.sight import Sight
from attnprof.render.claims.versus import Versus, versus
from attnprof.render.latex import tex
from attnprof.render.numbers import interval, quantity
from attnprof.render.pages.view import PageView
from attnprof.render.series import Series
from attnprof.units import format_value

DAGGER, DOUBLE = r"$^\dagger$", r"$^\ddagger$"


@dataclass(frozen=True)
class PaperTable:
    """Rows of LaTeX cells under heads, each with its parameters, the marks that occur, and the implementations."""

    heads: tuple[str, ...]
    rows: tuple[tuple[tuple[str, ...], str], ...]
    predicted: bool
    flagged: bool
    impls: tuple[tuple[str, str], ...]


def paper_table(view: PageView, series: Sequence[Series], n: int, cites: Mapping[str, str]) -> PaperTable:
    """The rows of these series at n, the baseline first, then by cost."""
    metric = view.metrics[0]
    at = view.standing(metric, n)
    wanted = {s.label for s in series}
    shown = [c for c in at.everyone if c.series.label in wanted or c is at.baseline]
    best = next((c for c in at.rest if c in shown and c.against is not None and c.against.outcome == "less"), None)
    memory = next((c.memory_at.metric for c in shown if c.memory_at is not None), None)
    heads = (
        "Scheme, parameters",
        tex(_title(metric)),
        r"$\times$",
        *((tex(_title(memory)), r"$\times$") if memory is not None else ()),
        "Keys",
        "Layers",
    )
    rows = tuple((_row(c, at, memory, c is best and _alone(c, shown), cites), _params(c, at.n)) for c in shown)
    costs = [c.cost for c in shown]
    return PaperTable(
        heads,
        rows,
        any(p.state is PointState.PREDICTED for p in costs),
        any(p.state is PointState.FLAGGED for p in costs),
        tuple((c.series.label, c.series.computed_by) for c in shown),
    )


def _title(metric: Quantity) -> str:
    return metric.short or metric.title


def _alone(best: Candidate, shown: Sequence[Candidate]) -> bool:
    """Whether no other interval reaches into that of the least: only then is it set in bold."""
    others = [versus(best.cost, c.cost) for c in shown if c is not best and c.cost.state.valued]
    return all(v is not None and v.outcome == "less" for v in others)


def _row(c: Candidate, at: Ranking, memory: Quantity | None, bold: bool, cites: Mapping[str, str]) -> tuple[str, ...]:
    base = c is at.baseline
    name = tex(c.series.label) + (rf"~\cite{{{cites[c.series.target]}}}" if c.series.target in cites else "")
    return (
        name,
        _cost(c.cost, bold),
        r"1.00$\times$" if base else _ratio(c.against),
        *((_bytes(c.memory_at), r"1.00$\times$" if base else _ratio(c.memory)) if memory is not None else ()),
        _keys(c.sight),
        _layers(c.sight),
    )


def _params(c: Candidate, n: int) -> str:
    record = next((r for r in c.series.records if r.point.shape.n == n), None)
    params = {} if record is None else record.point.params
    return ", ".join(f"{tex(k)} {tex(format_value(v))}" for k, v in params.items())


def _cost(at: Evidence, bold: bool) -> str:
    if not at.state.valued or at.value is None:
        return rf"\textit{{{tex(told.word('state_name', at.state))}}}"
    text = tex(quantity(at.value, at.metric.unit))
    if at.low is not None and at.high is not None and at.state is not PointState.PREDICTED:
        text += rf" {{\tiny[{tex(interval(at.low, at.high, at.metric.unit))}]}}"
    mark = DAGGER if at.state is PointState.PREDICTED else DOUBLE if at.state is PointState.FLAGGED else ""
    return (rf"\textbf{{{text}}}" if bold else text) + mark


def _ratio(v: Versus | None) -> str:
    """The cost over the baseline's: below 1 is less."""
    if v is None:
        return "--"
    value = 1 / v.ratio
    text = f"{value:.2f}" if value < 99.5 else f"{value:,.0f}"
    if v.low is not None and v.high is not None:
        text += rf" {{\tiny[{1 / v.high:.2f}, {1 / v.low:.2f}]}}"
    mark = DAGGER if v.state is PointState.PREDICTED else ""
    return text + mark


def _bytes(at: Evidence | None) -> str:
    return "--" if at is None or at.value is None else tex(quantity(at.value, at.metric.unit))


def _keys(s: Sight) -> str:
    if s.through:
        return f"all ({s.through})"
    if s.keys is None:
        return "--"
    return f"{s.keys:,.0f}" if s.keys >= 10 else f"{s.keys:.2g}"


def _layers(s: Sight) -> str:
    return str(s.layers) if s.layers is not None else "never" if s.reaching == "never" else "--"
