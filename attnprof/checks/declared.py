"""The declared pattern against the true one: every token is replaced, and what moves is held against the edges."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from attnprof.checks.examined import Examined, Skipped
from attnprof.checks.finding import Finding
from attnprof.contracts import Target
from attnprof.graph.findings import findings
from attnprof.graph.probe import recover
from attnprof.pattern import Slices
from attnprof.pattern.slices import Bools
from attnprof.shapes import Shape
from attnprof.words import Level, Severity

LONGEST = 128
TRIALS = 2
KINDS = {"missing": "edges_missing", "undeclared": "edges_undeclared"}
ADVICE = {
    "missing": "is the window one too short, or is the edge of a block cut off?",
    "undeclared": "is the window one too wide, or does a path beside the mask carry tokens?",
}


def look(examined: Examined) -> Iterator[Finding]:
    """A defect for edges that are declared and not there, and for edges that are there and not declared."""
    given = examined.ask.against
    declares = given if given is not None else examined.target
    shape = examined.shape.replace(n=min(examined.shape.n, LONGEST), batch=1)
    if given is None:
        _check_declares(examined, shape)
    edges = _edges(declares, shape)
    asked = examined.longer(shape.n)
    if not asked.gives_tokens or not all(asked.streams):
        raise Skipped("it does not give one output a token of one sequence")
    found = recover(asked.module, lambda: asked.inputs, shape.heads, TRIALS)
    for each in findings(found, False, edges):
        if each.kind in KINDS:
            yield Finding(
                KINDS[each.kind],
                Severity.DEFECT,
                f"at n = {shape.n}, {each.text}, held against {declares.name}",
                evidence={"count": each.count, "first_pairs": [f"{query} reads {key}" for query, key in each.at]},
                advice=ADVICE[each.kind],
            )


def _check_declares(examined: Examined, shape: Shape) -> None:
    """Raise `Skipped` where a target's own pattern is not what one run of it has to show."""
    target = examined.target
    if examined.of_user:
        raise Skipped("no pattern is declared: --against PATTERN")
    if target.card.data_dependent or target.layers > 1 or shape.level is Level.BLOCK:
        raise Skipped("one run of it does not show the pattern: it depends on data, or on several layers")
    if shape.m is not None or target.pattern(shape) is None:
        raise Skipped("it has no edges between the tokens of one sequence")


def _edges(target: Target, shape: Shape) -> Slices:
    """The edges of a pattern, heads united and layers one after the other. Raises `Skipped` where it has none."""
    pattern = target.pattern(shape)
    if pattern is None:
        raise Skipped(f"{target.name} declares no edges between tokens")
    through: Bools = np.eye(shape.n, dtype=np.bool_)
    for layer in range(pattern.layers):
        one = np.zeros_like(through)
        for head in range(pattern.heads):
            one |= pattern.slices(layer, head).dense()
        through = one if layer == 0 else (one.astype(np.int64) @ through.astype(np.int64)) > 0
    row, key = np.nonzero(through)
    return Slices.from_pairs(shape.n, row, key)
