"""Metrics and engines know the protocol of a relation, never how one is stored; the three ways to store one agree."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pytest

from attnprof.graph.blocked import BlockConstant, united
from attnprof.graph.layered import LayeredRelation
from attnprof.graph.pixels import Grid
from attnprof.graph.relation import Relation, SlotWays, readers, reads
from attnprof.graph.slotted import Slotted
from attnprof.graph.token_edges import TokenEdges
from attnprof.locate import PACKAGE
from attnprof.pattern import Slices
from tests.unit.graph.zoo import masks, stack_of, zoo

REPRESENTATIONS = {"Slices", "TokenEdges", "BlockConstant", "Slotted"}
THEIR_FILES = {"token_edges.py", "blocked.py", "slotted.py"}
OF_TARGETS = {"draws.py", "analysis.py"}
"""Files that look up optional parts of targets, which are no relations."""

FILES = [file for file in sorted((PACKAGE / "graph").rglob("*.py")) if file.name not in THEIR_FILES]


def named(node: ast.expr) -> set[str]:
    return {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_nobody_asks_how_a_relation_is_stored(file: Path) -> None:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
            continue
        if node.func.id == "isinstance":
            assert not named(node.args[1]) & REPRESENTATIONS, f"line {node.lineno} asks for a representation"
        if node.func.id in ("getattr", "hasattr"):
            assert file.name in OF_TARGETS, f"line {node.lineno} looks a name up"
            assert "target" in named(node.args[0]), f"line {node.lineno} looks a name up on no target"


def single_keys(mask: np.ndarray) -> Slices:
    row, key = np.nonzero(mask)
    return Slices.from_pairs(len(mask), row, key)


def same(part: Relation, edges: Relation) -> None:
    """A relation holds what token edges hold."""
    n = edges.n
    assert part.tokens().dense().tolist() == edges.tokens().dense().tolist()
    assert part.refined(1).dense().tolist() == edges.tokens().dense().tolist()
    assert (part.n, part.edges, part.reads_future) == (n, edges.edges, edges.reads_future)
    for mine, theirs in (
        (part.out_degree(), edges.out_degree()),
        (part.in_degree(), edges.in_degree()),
        (reads(part), reads(edges)),
        (readers(part), readers(edges)),
        (part.push(np.arange(n)), edges.push(np.arange(n))),
        (part.pooled(Grid(n, 8)), edges.pooled(Grid(n, 8))),
    ):
        assert mine.tolist() == theirs.tolist()
    assert part.future() == edges.future()
    for gone in (np.arange(n) < 8, np.arange(n) % 5 == 0):
        left = part.without(gone).tokens().dense()
        assert left.tolist() == edges.tokens().dense()[~gone][:, ~gone].tolist()


@pytest.mark.parametrize("name", list(zoo(64)))
def test_every_way_to_store_the_same_edges_agrees(name: str) -> None:
    stack = stack_of(name, 64)
    for part, mask in zip(stack.parts, masks(stack), strict=True):
        edges = TokenEdges(single_keys(part.tokens().dense()))
        none = SlotWays(1, Slices.empty(1, 64), Slices.empty(64, 1))
        same(Slotted(edges.quotient, none), edges)
        assert (np.asarray(part.push(np.eye(64, dtype=np.int64)[7])) > 0).tolist() == mask[7].tolist()
        if part.ways is None:
            same(part, edges)


def test_a_union_stays_on_blocks_where_it_can() -> None:
    blocks = Slices.from_pairs(8, [0, 3, 3], [1, 3, 5])
    full, cut = BlockConstant(8, blocks, False), BlockConstant(8, blocks.past(), True)
    finer = BlockConstant(4, Slices.from_pairs(16, [1], [2]), False)
    tokens = TokenEdges(Slices.from_pairs(64, [9], [9]))
    for parts, size in (([full, finer], 4), ([full, cut], 1), ([full, tokens], 1), ([cut], 8)):
        whole = united(parts)
        assert whole.size == size
        assert whole.tokens().dense().tolist() == np.logical_or.reduce([p.tokens().dense() for p in parts]).tolist()


def test_a_stack_says_what_all_its_layers_are() -> None:
    full, tokens = BlockConstant(8, Slices.from_pairs(8, [0], [1]), False), TokenEdges(Slices.empty(64))
    assert LayeredRelation(64, (full,)).blocked
    assert not LayeredRelation(64, (full, tokens)).blocked
    assert LayeredRelation(64, (full, tokens)).plain is not None
    assert (
        LayeredRelation(64, (Slotted(tokens.quotient, SlotWays(1, Slices.empty(1, 64), Slices.empty(64, 1))),)).plain
        is None
    )
