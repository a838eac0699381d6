"""The words and numbers of a model page in every state: the first paint and the script take them from here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from attnprof.render.claims import of_models, told
from attnprof.render.claims.fact import Claim
from attnprof.render.numbers import percent, quantity
from attnprof.render.subjects.model_subject import PASSES, CostPart, ModelSubject
from attnprof.units import counted, format_count, format_length, format_seconds
from attnprof.words import Pass

Cells = dict[str, dict[str, str]]
"""Markup by the key of a place and the state it holds in: `pass/n`, `/n` for any pass, `pass/` for any length."""

DIM = '<span class="dim">–</span>'


def state_of_cell(cell: Mapping[str, str], pass_: str, n: int) -> str:
    """The markup of a place in a state, as the script finds it."""
    return next((cell[key] for key in (f"{pass_}/{n}", f"/{n}", f"{pass_}/") if key in cell), "")


def cells(subject: ModelSubject, lengths: Sequence[int]) -> Cells:
    """Everything that changes with pass or length."""
    made: Cells = {key: {} for key in ("spent", "passing", "flops", "share", "kept", "more", "allocated", "formulas")}
    made |= {key: {} for key in ("sequences", "bound", "formulas_span")}
    groups: Cells = {f"{what}{k}": {} for what in ("flops", "kept") for k in range(len(subject.kinds))}
    for pass_ in PASSES:
        made["passing"][f"{pass_}/"] = markup(of_models.passing(subject, pass_))
        for n in lengths:
            made["spent"][f"{pass_}/{n}"] = markup(of_models.spent(subject, pass_, n))
            _of_pass(subject, pass_, n, made, groups)
    for n in lengths:
        _of_length(subject, n, made, groups)
    return made | groups


def _of_pass(subject: ModelSubject, pass_: str, n: int, made: Cells, groups: Cells) -> None:
    work, at = subject.work.get((pass_, n)), f"{pass_}/{n}"
    made["flops"][at] = DIM if work is None else escape(quantity(work.total / work.tokens, "flops"))
    made["share"][at] = DIM if work is None else percent(work.mixing / work.total)
    for k, value in enumerate(() if work is None else work.groups):
        groups[f"flops{k}"][at] = DIM if value is None or not work else escape(quantity(value / work.tokens, "flops"))


def _of_length(subject: ModelSubject, n: int, made: Cells, groups: Cells) -> None:
    kept, at = subject.kept.get(n), f"/{n}"
    made["allocated"][at] = markup(of_models.allocated(subject, n))
    made["formulas"][at] = _formulas(subject, n)
    made["formulas_span"][at] = markup(of_models.formulas(subject, n))
    made["kept"][at] = DIM if kept is None else escape(quantity(kept.bytes, "bytes"))
    made["more"][at] = DIM if kept is None else escape(quantity(kept.a_token, "bytes"))
    fit = subject.limit.get("concurrency", {}).get(str(n))
    made["sequences"][at] = DIM if fit is None else f"{fit:,}"
    made["bound"][at] = _bounds(subject, n)
    for k, value in enumerate(() if kept is None else kept.groups):
        groups[f"kept{k}"][at] = DIM if not value else escape(quantity(value, "bytes"))


def _formulas(subject: ModelSubject, n: int) -> str:
    """The rows of the table of frameworks."""
    made = []
    for row in subject.frameworks.get(n, ()):
        figures = (_figure(row["core_flops"]), _ratio(row["core_ratio"]), _figure(row["flops"]), _ratio(row["ratio"]))
        name = f"{row['name']}<small>{'forward' if row['pass'] == Pass.FORWARD else 'training'}</small>"
        numbers = "".join(f'<td class="n">{each}</td>' for each in figures)
        why = markup(of_models.formula(row, n))
        source = f"{escape(row['line'])}, {escape(row['commit'])}"
        made.append(f'<tr><th scope="row">{name}</th>{numbers}<td>{why}<small>{source}</small></td></tr>')
    return "".join(made)


def _figure(value: float | None) -> str:
    return DIM if value is None else format_count(value)


def _ratio(value: float | None) -> str:
    return DIM if value is None else told.plain(told.word("times_of", value))


def _bounds(subject: ModelSubject, n: int) -> str:
    """The least time of a decoding step by how many sequences, as `limit` bounds it."""
    found = [b for b in subject.bounds if b["n"] == n]
    return "; ".join(
        f"{counted(b['sequences'], 'sequence')}: {format_seconds(b['least_s'])} ({b['limited_by']})" for b in found
    )


def markup(claim: Claim) -> str:
    """A claim as markup."""
    return told.html(told.said(claim))


def passes_at(subject: ModelSubject, pass_: str) -> str:
    """From which n on attention costs as much as the FFN, in a cell."""
    found = subject.passing(pass_)
    if found.bare:
        return DIM
    if found.at is not None:
        return f"{found.at:,}"
    low, high = (None if n is None else format_length(n) for n in (found.low, found.high))
    return f"above {low}" if high is None else f"up to {high}" if low is None else f"{low}–{high}"


def rows(subjects: Sequence[ModelSubject]) -> dict[str, list[list[object]]]:
    """What the downloads hold: exact figures by model, pass, length and part; bytes kept; tokens seen; formulas."""
    work: list[list[object]] = [["model", "pass", "n", "tokens", "part", "flops"]]
    kept: list[list[object]] = [["model", "n", "allocated_by", "bytes"]]
    reach: list[list[object]] = [["model", "layer", "tokens", "through_numbers"]]
    formulas: list[list[object]] = [
        ["model", "n", "framework", "pass", "core_flops_a_token", "core_over_exact", "flops_a_token", "over_exact"]
    ]
    for s in subjects:
        for (pass_, n), w in sorted(s.work.items(), key=lambda item: (PASSES.index(item[0][0]), item[0][1])):
            work += [[s.name, pass_, n, w.tokens, part.value, w.parts[part]] for part in CostPart if w.parts.get(part)]
            work.append([s.name, pass_, n, w.tokens, "total", w.total])
        for n, k in sorted(s.kept.items()):
            kept.append([s.name, n, "exact", k.bytes])
            kept += [[s.name, n, e.name, e.bytes] for e in k.engines]
        for layer, t in enumerate(s.seen, start=1):
            reach.append([s.name, layer, "all" if t.tokens is None else t.tokens, t.through])
        for n, found in sorted(s.frameworks.items()):
            for r in found:
                figures = [r[key] for key in ("core_flops", "core_ratio", "flops", "ratio")]
                formulas.append([s.name, n, r["name"], r["pass"], *figures])
    return {"cost": work, "kept": kept, "reach": reach, "frameworks": formulas}
