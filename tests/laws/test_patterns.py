"""Laws of every pattern in the catalogue: its views agree, its counts are right, its card is complete."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import numpy as np
import pytest

from attnprof import catalog
from attnprof.locate import shipped
from attnprof.model import Shape
from attnprof.pattern import Pattern, Slices
from attnprof.pattern.slots import Kernel, Slots

HEADS = 4
LENGTHS = (1, 2, 5, 37, 64, 100, 128, 200, 1000, 1024, 4096)
SMALL = (37, 64, 128, 200)
NAMES = catalog.names()
CASES = [(name, causal) for name in NAMES for causal in catalog.entry(name).card.causality]
IDS = [f"{name}-{'causal' if causal else 'bidirectional'}" for name, causal in CASES]
each_case = pytest.mark.parametrize(("name", "causal"), CASES, ids=IDS)
each_name = pytest.mark.parametrize("name", NAMES)


def shape_of(n: int, causal: bool, seed: int = 0) -> Shape:
    return Shape(n=n, causal=causal, heads=HEADS, dim=8 * HEADS, seed=seed)


@lru_cache(maxsize=64)
def drawn(name: str, n: int, causal: bool) -> Pattern:
    return catalog.find(name).graph(shape_of(n, causal))


def kinds(pattern: Pattern) -> Iterator[tuple[int, int]]:
    return ((layer, head) for layer in range(pattern.layers) for head in range(pattern.heads))


def relations(pattern: Pattern, layer: int, head: int) -> list[Slices]:
    """Everything stored as slices: the token edges, or tokens to slots and back and what is beside them."""
    expr = pattern.expr(layer, head)
    if isinstance(expr, Kernel):
        return []
    if isinstance(expr, Slots):
        return [expr.reads, expr.writes, *([expr.direct.slices(pattern.n)] if expr.direct else [])]
    return [pattern.slices(layer, head)]


@each_case
@pytest.mark.parametrize("n", LENGTHS)
def test_closed_count_is_the_counted_one(name: str, causal: bool, n: int) -> None:
    target, pattern = catalog.find(name), drawn(name, n, causal)
    for layer, head in kinds(pattern):
        closed = target.edges(shape_of(n, causal), layer, head)
        if closed is not None:
            assert closed == pattern.edges(layer, head), (layer, head)


@each_case
@pytest.mark.parametrize("n", [1, 2, 5, *SMALL, 1000])
def test_slices_are_sorted_disjoint_and_within_bounds(name: str, causal: bool, n: int) -> None:
    pattern = drawn(name, n, causal)
    for layer, head in kinds(pattern):
        for part in relations(pattern, layer, head):
            assert (np.diff(part.row) >= 0).all()
            assert (part.row >= 0).all()
            assert (part.row < part.n).all()
            assert (part.start >= 0).all()
            assert (part.stop <= part.m).all()
            assert (part.counts > 0).all()
            assert part.disjoint().edges == part.edges


@each_case
@pytest.mark.parametrize("n", LENGTHS)
def test_causal_means_nothing_of_the_future(name: str, causal: bool, n: int) -> None:
    pattern = drawn(name, n, causal)
    for layer, head in kinds(pattern):
        expr = pattern.expr(layer, head)
        assert not causal or newest_key(expr, n) <= 0


def newest_key(expr: object, n: int) -> int:
    """How far beyond its own position some query reads, slots passed through."""
    if isinstance(expr, Kernel):
        return 0 if expr.causal else n - 1
    if isinstance(expr, Slots):
        newest = np.full(expr.count + 1, -1)
        np.maximum.at(newest, expr.reads.row, expr.reads.stop - 1)
        _, slot = expr.writes.csr()
        ahead = newest[slot] - np.repeat(expr.writes.row, expr.writes.counts)
        beside = newest_key(expr.direct, n) if expr.direct is not None else -n
        return max(int(ahead.max(initial=-n)), beside)
    slices = expr.slices(n)  # type: ignore[attr-defined]
    return int((slices.stop - 1 - slices.row).max(initial=-n))


@each_case
@pytest.mark.parametrize("n", LENGTHS)
def test_queries_are_dead_only_where_the_card_says_so(name: str, causal: bool, n: int) -> None:
    assert catalog.entry(name).card.dead_queries or not dead(drawn(name, n, causal))


@each_name
def test_dead_queries_that_a_card_tells_of_are_there(name: str) -> None:
    card = catalog.entry(name).card
    assert not card.dead_queries or any(dead(drawn(name, 4096, causal)) for causal in card.causality)


def dead(pattern: Pattern) -> bool:
    """Whether some query of some layer and head reads neither a token nor a slot."""
    return any(
        not isinstance(pattern.expr(layer, head), Kernel)
        and bool(np.min(sum(part.out_degree() for part in relations(pattern, layer, head) if part.n == pattern.n)) == 0)
        for layer, head in kinds(pattern)
    )


@each_case
@pytest.mark.parametrize("n", SMALL)
def test_rule_slices_and_brute_force_agree(name: str, causal: bool, n: int) -> None:
    pattern = drawn(name, n, causal)
    i, j = np.arange(n)[:, None], np.arange(n)
    for layer, head in kinds(pattern):
        expr, slices = pattern.expr(layer, head), pattern.slices(layer, head)
        brute = np.zeros((n, n), dtype=bool)
        for row, start, stop, step in zip(slices.row, slices.start, slices.stop, slices.step, strict=True):
            brute[row, start:stop:step] = True
        assert (slices.dense() == brute).all()
        assert (slices.out_degree() == brute.sum(1)).all()
        assert (slices.in_degree() == brute.sum(0)).all()
        rule = expr.rule(i, j)
        if rule is not None:
            assert (np.broadcast_to(rule, (n, n)) == brute).all(), (layer, head)


@each_case
@pytest.mark.parametrize("n", SMALL)
def test_multiplicity_never_lowers_the_count(name: str, causal: bool, n: int) -> None:
    pattern = drawn(name, n, causal)
    for layer, head in kinds(pattern):
        assert pattern.edges_sum(layer, head) >= pattern.edges(layer, head)


@each_case
def test_a_seed_reproduces_the_pattern(name: str, causal: bool) -> None:
    once, again = (catalog.find(name).graph(shape_of(200, causal, seed=3)) for _ in range(2))
    for layer, head in kinds(once):
        for first, second in zip(relations(once, layer, head), relations(again, layer, head), strict=True):
            assert (first.csr()[0] == second.csr()[0]).all()
            assert (first.csr()[1] == second.csr()[1]).all()
        if isinstance(expr := once.expr(layer, head), Kernel):
            assert expr == again.expr(layer, head)


@each_name
def test_card_is_complete(name: str) -> None:
    entry = catalog.entry(name)
    card = entry.card
    assert card.title
    assert card.rule
    assert card.edges_text
    assert card.causality
    assert card.complexity or card.complexity_ours
    assert (shipped("reports") / "bib" / f"{card.bib}.bib").is_file()
    assert set(card.sources) == set(entry.defaults), "every parameter has a source, every source a parameter"
    assert entry.path.read_text().startswith('"""')


@each_name
def test_parameters_resolve_to_themselves(name: str) -> None:
    target = catalog.find(name)
    for n in LENGTHS:
        once = target.resolve(n)
        assert None not in once.values()
        again = catalog.find(name, params=once).resolve(n)
        assert once == again


@each_name
def test_paper_formula_is_an_integer_that_grows(name: str) -> None:
    target = catalog.find(name)
    causal = target.card.native_causal
    values = [target.flops_paper(shape_of(n, causal)) for n in (1024, 4096)]
    if values[0] is not None:
        assert all(isinstance(value, int) for value in values)
        assert 0 < values[0] < values[1]
