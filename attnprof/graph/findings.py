"""What a probe found, in words: leaks of the future, missing edges, rows that read more than they say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from attnprof.pattern import Slices
from attnprof.pattern.slices import Bools, Ints

NAMED = 5


@dataclass(frozen=True, eq=False)
class Recovered:
    """Dependencies of outputs `rows` on all tokens, `[rows, n]`: by value (a gradient) and by selection alone.

    `changed [n, n]` says of every output whether it changed with a token, whether or not its gradient was looked at.
    Where there is no gradient, for the reason in `silent`, every change stands as one by value; so it does where no
    operator chooses by values (`analytic`), and gradients of a few rows agree.
    """

    rows: Ints
    value: Bools
    selection: Bools
    changed: Bools
    trials: int
    silent: str = ""
    analytic: bool = False

    @classmethod
    def nothing(cls, rows: Ints, n: int) -> Self:
        """Before the first trial."""
        none = np.zeros((len(rows), n), dtype=np.bool_)
        return cls(rows, none, none, np.zeros((n, n), dtype=np.bool_), 0)

    @property
    def n(self) -> int:
        """Tokens."""
        return self.value.shape[1]

    @property
    def whole(self) -> bool:
        """Whether every output was looked at."""
        return len(self.rows) == self.n

    def slices(self) -> Slices:
        """Every dependency as a pattern, over all outputs."""
        every = self.changed.copy()
        every[self.rows] |= self.value | self.selection
        row, key = np.nonzero(every)
        return Slices.from_pairs(self.n, row, key)

    @property
    def reads_future(self) -> bool:
        """Whether some output depends on a later token."""
        return bool(np.triu(self.changed, 1).any()) or any(
            bool((np.flatnonzero(reads) > row).any())
            for row, reads in zip(self.rows, self.value | self.selection, strict=True)
        )


@dataclass(frozen=True, slots=True)
class ProbeFinding:
    """One thing found: its kind, how many pairs or rows, the first of them as (query, key) or rows, one sentence."""

    kind: str
    count: int
    at: tuple[tuple[int, ...], ...]
    text: str


def findings(found: Recovered, causal: bool, declared: Slices | None = None) -> list[ProbeFinding]:
    """Leaks (if causal), differences from a declared pattern, dense and dead rows; a clean sentence where none is."""
    results = [_count(found)]
    results += _leaks(found) if causal else []
    results += _against(found, declared) if declared is not None else []
    past = causal or not found.reads_future
    results += [*_dense_rows(found, declared, past), *_dead_rows(found)]
    return results


def to_json(found: Recovered, results: list[ProbeFinding]) -> dict[str, object]:
    """The probe's part of a record."""
    return {
        "n": found.n,
        "rows": len(found.rows),
        "trials": found.trials,
        "value_edges": int(found.value.sum()),
        "selection_edges": int(found.selection.sum()),
        "findings": [finding.text for finding in results],
        "found": [{"kind": f.kind, "count": f.count, "at": [list(at) for at in f.at]} for f in results],
    }


def _count(found: Recovered) -> ProbeFinding:
    value, chosen = int(found.value.sum()), int(found.selection.sum())
    part = "" if found.whole else f" over {len(found.rows)} of {found.n} rows"
    text = f"{value:,} value edges by gradient, {chosen:,} more by selection alone{part}, {_inputs(found)}"
    if found.analytic:
        text = (
            f"{value:,} value edges by changes of the output{part}, {_inputs(found)}; nothing in it chooses by values"
        )
    if found.silent:
        why = f"no gradient tells values from selection: {found.silent}"
        text = f"{value:,} edges by changes of the output{part}, {_inputs(found)}; {why}"
    return ProbeFinding("edges", value + chosen, (), text)


def _inputs(found: Recovered) -> str:
    return f"{found.trials} random inputs" if found.trials > 1 else "1 random input"


def _pairs(found: Recovered, mask: Bools) -> tuple[tuple[int, ...], ...]:
    row, key = np.nonzero(mask)
    return tuple((int(found.rows[r]), int(k)) for r, k in zip(row[:NAMED], key[:NAMED], strict=True))


def _named(pairs: tuple[tuple[int, ...], ...]) -> str:
    return ", ".join(f"{pair[0]} reads {pair[1]}" for pair in pairs)


def _leaks(found: Recovered) -> list[ProbeFinding]:
    future = np.arange(found.n)[None] > found.rows[:, None]
    results = []
    for kind, mask in (("value", found.value & future), ("selection", found.selection & future)):
        count = int(mask.sum())
        if count:
            at = _pairs(found, mask)
            text = f"leak of the future by {kind}: {count:,} pairs, first {_named(at)}"
            results.append(ProbeFinding(f"leak-{kind}", count, at, text))
    others = np.setdiff1d(np.arange(found.n), found.rows)
    row, key = np.nonzero(np.triu(found.changed, 1)[others])
    if len(row):
        at = tuple((int(others[r]), int(k)) for r, k in zip(row[:NAMED], key[:NAMED], strict=True))
        text = f"leak of the future in rows without a gradient: {len(row):,} pairs, first {_named(at)}"
        results.append(ProbeFinding("leak-other", len(row), at, text))
    if not results:
        results.append(ProbeFinding("no-leak", 0, (), f"no leak found in {_inputs(found)}"))
    return results


def _against(found: Recovered, declared: Slices) -> list[ProbeFinding]:
    """Differences from what is declared, a token's dependence on itself aside: its query always depends on it."""
    claimed = declared.dense()[found.rows]
    true = found.value | found.selection
    other = np.arange(found.n)[None] != found.rows[:, None]
    results = []
    for kind, mask, words in (
        ("missing", claimed & ~true & other, "declared but never seen"),
        ("undeclared", true & ~claimed & other, "seen but not declared"),
    ):
        count = int(mask.sum())
        if count:
            at = _pairs(found, mask)
            results.append(ProbeFinding(kind, count, at, f"{count:,} edges {words}, first {_named(at)}"))
    if not results:
        text = f"the declared pattern and the recovered one agree in {_inputs(found)}"
        results.append(ProbeFinding("agrees", 0, (), text))
    return results


def _dense_rows(found: Recovered, declared: Slices | None, causal: bool) -> list[ProbeFinding]:
    """Rows that read all that they may, where the declared row, or else the typical one, reads less than half."""
    allowed = found.rows + 1 if causal else np.full(len(found.rows), found.n)
    degree = (found.value | found.selection).sum(axis=1)
    usual = np.full(len(degree), np.median(degree / allowed))
    if declared is not None:
        usual = declared.out_degree()[found.rows] / allowed
    dense = (degree >= allowed) & (usual < 0.5) & (allowed > 4)
    rows = found.rows[dense]
    if len(rows) == 0:
        return []
    at = tuple((int(row),) for row in rows[:NAMED])
    named = ", ".join(str(row[0]) for row in at)
    return [ProbeFinding("dense-rows", len(rows), at, f"{len(rows):,} rows read every allowed token, first {named}")]


def _dead_rows(found: Recovered) -> list[ProbeFinding]:
    dead = found.rows[~(found.value | found.selection).any(axis=1)]
    if len(dead) == 0:
        return []
    at = tuple((int(row),) for row in dead[:NAMED])
    named = ", ".join(str(row[0]) for row in at)
    return [ProbeFinding("dead-rows", len(dead), at, f"{len(dead):,} outputs depend on nothing, first {named}")]
