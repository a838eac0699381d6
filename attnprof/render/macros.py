"""Numbers as LaTeX macros, named by what they are, so that the prose of a paper cannot go stale."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from attnprof.render.claims import told
from attnprof.render.claims.choice import Candidate
from attnprof.render.claims.evidence import PointState, doubts
from attnprof.render.latex import tex
from attnprof.render.numbers import quantity
from attnprof.render.pages.view import PageView
from attnprof.render.series import Series
from attnprof.units import format_length

SPELLED = ("Zero", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine")
DIGITS = {str(k): word for k, word in enumerate(SPELLED)}
HEAD = r"% Numbers of the tables, by name. A predicted one begins with $\approx$, a flagged one ends in $^\ddagger$."
FLAGGED = r"$^\ddagger$"


def macros(parts: Sequence[tuple[PageView, Sequence[Series], int, str]]) -> str:
    r"""`\newcommand` lines: cost, ratio and memory of each series at the n of its figure, each with its hedge."""
    lines = [HEAD]
    for view, series, n, name in parts:
        wanted = {s.label for s in series}
        at = view.standing(view.metrics[0], n)
        lines.append(rf"\newcommand{{\ap{letters(name)}N}}{{{format_length(n)}}}")
        for c in at.everyone:
            if c.series.label in wanted:
                own = f"ap{letters(name)}{letters(c.series.label)}"
                lines += [rf"\newcommand{{\{own}{key}}}{{{value}}}" for key, value in _numbers(c)]
    return "\n".join([*lines, ""])


def letters(text: str) -> str:
    """A name of letters alone, as a macro must have: `image_1d` is `ImageOned`."""
    spelled = "".join(DIGITS.get(c, c) for c in text)
    return "".join(part[:1].upper() + part[1:] for part in re.split(r"[^A-Za-z]+", spelled) if part)


def _numbers(c: Candidate) -> Iterator[tuple[str, str]]:
    cost, v = c.cost, c.against
    if cost.state.valued and cost.value is not None:
        hedge = r"$\approx$~" if cost.state is PointState.PREDICTED else ""
        yield "Cost", f"{hedge}{tex(quantity(cost.value, cost.metric.unit))}{FLAGGED if cost.flags else ''}"
    if v is not None:
        mark = FLAGGED if doubts((v.ours, v.theirs)) else ""
        yield "Ratio", told.latex_text(told.word("times", v)) + mark
    if c.memory_at is not None and c.memory_at.value is not None:
        yield "Memory", tex(quantity(c.memory_at.value, c.memory_at.metric.unit))
    if c.sight.keys is not None and not c.sight.through:
        yield "Keys", f"{c.sight.keys:,.0f}" if c.sight.keys >= 10 else f"{c.sight.keys:.2g}"
    if c.sight.layers is not None:
        yield "Layers", str(c.sight.layers)
