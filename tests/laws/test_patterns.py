"""Laws of every pattern in the catalogue: its views agree, its counts are right, its card is complete."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from attnprof.errors import AttnprofError
from attnprof.locate import shipped
from attnprof.pattern import Expr, Pattern, Slices
from attnprof.pattern.slots import Kernel, Slots
from attnprof.shapes import Shape
from attnprof.targets import catalog, door
from attnprof.targets.scheme import CatalogTarget
from attnprof.units import Value

HEADS = 4
LENGTHS = (1, 2, 5, 37, 64, 100, 128, 200, 1000)
LONG = (1024, 4096)
SMALL = (37, 64, 128, 200)
NAMES = catalog.names()
CASES = [
    (name, causal, params)
    for name in NAMES
    for params in ({}, *filter(None, catalog.entry(name).examples))
    for causal in catalog.entry(name).card.causality
]


def label(case: tuple[str, bool, dict[str, Value]]) -> str:
    name, causal, params = case
    return "-".join([name, "causal" if causal else "bidirectional", *(f"{k}={v}" for k, v in params.items())])


each_case = pytest.mark.parametrize(("name", "causal", "params"), CASES, ids=map(label, CASES))
each_name = pytest.mark.parametrize("name", NAMES)


def shape_of(n: int, causal: bool, seed: int = 0) -> Shape:
    return Shape(n=n, causal=causal, heads=HEADS, dim=8 * HEADS, seed=seed)


def found(name: str, params: dict[str, Value] | None = None) -> CatalogTarget:
    return CatalogTarget.of(catalog.entry(name), params or {}, None)


def drawn(name: str, n: int, causal: bool, params: dict[str, Value] | None = None) -> Pattern:
    return found(name, params).graph(shape_of(n, causal))


def kinds(pattern: Pattern) -> Iterator[tuple[int, int]]:
    return ((layer, head) for layer in range(pattern.layers) for head in range(pattern.heads))


def relations(pattern: Pattern, layer: int, head: int) -> list[Slices]:
    """Everything stored as slices: the token edges, or tokens to slots and back and what is beside them."""
    expr = pattern.expr(layer, head)
    if isinstance(expr, Kernel):
        return []
    if isinstance(expr, Slots):
        return [expr.reads, expr.writes, *([expr.direct.slices(pattern.n)] if expr.direct is not None else [])]
    return [pattern.slices(layer, head)]


@pytest.mark.parametrize("lengths", [LENGTHS, pytest.param(LONG, marks=pytest.mark.slow)], ids=["short", "long"])
@each_case
def test_counts_and_directions_hold_at_every_length(
    name: str, causal: bool, params: dict[str, Value], lengths: tuple[int, ...]
) -> None:
    """The closed count is the counted one, causal means nothing of the future, queries are dead only where stated."""
    target, card = found(name, params), catalog.entry(name).card
    for n in lengths:
        pattern = target.graph(shape_of(n, causal))
        for layer, head in kinds(pattern):
            closed = target.edges(shape_of(n, causal), layer, head)
            assert closed in (None, pattern.edges(layer, head) if closed is not None else None), (n, layer, head)
            assert not causal or newest_key(pattern.expr(layer, head), n) <= 0, (n, layer, head)
            assert card.dead_queries or not dead(pattern, layer, head), (n, layer, head)


@each_case
def test_slices_are_sorted_disjoint_and_within_bounds(name: str, causal: bool, params: dict[str, Value]) -> None:
    for n in (1, 2, 5, *SMALL, 1000):
        pattern = drawn(name, n, causal, params)
        for part in (part for at in kinds(pattern) for part in relations(pattern, *at)):
            assert (np.diff(part.row) >= 0).all()
            assert ((part.row >= 0) & (part.row < part.n)).all()
            assert ((part.start >= 0) & (part.stop <= part.m) & (part.counts > 0)).all()
            assert part.disjoint().edges == part.edges


@each_case
def test_rule_slices_and_brute_force_agree(name: str, causal: bool, params: dict[str, Value]) -> None:
    for n in SMALL:
        pattern = drawn(name, n, causal, params)
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
            assert rule is None or (np.broadcast_to(rule, (n, n)) == brute).all(), (n, layer, head)
            assert pattern.edges_sum(layer, head) >= pattern.edges(layer, head) == brute.sum()


@each_case
def test_a_seed_reproduces_the_pattern(name: str, causal: bool, params: dict[str, Value]) -> None:
    once, again = (found(name, params).graph(shape_of(200, causal, seed=3)) for _ in range(2))
    for layer, head in kinds(once):
        for first, second in zip(relations(once, layer, head), relations(again, layer, head), strict=True):
            assert all((a == b).all() for a, b in zip(first.csr(), second.csr(), strict=True))
        if isinstance(expr := once.expr(layer, head), Kernel):
            assert expr == again.expr(layer, head)


@each_name
def test_dead_queries_that_a_card_tells_of_are_there(name: str) -> None:
    card = catalog.entry(name).card
    tried = (drawn(name, 128, causal, params) for case, causal, params in CASES if case == name)
    assert not card.dead_queries or any(dead(pattern, *at) for pattern in tried for at in kinds(pattern))


def dead(pattern: Pattern, layer: int, head: int) -> bool:
    """Whether some query reads neither a token nor a slot."""
    if isinstance(pattern.expr(layer, head), Kernel):
        return False
    degrees = sum(part.out_degree() for part in relations(pattern, layer, head) if part.n == pattern.n)
    return bool(np.min(degrees) == 0)


def newest_key(expr: Expr, n: int) -> int:
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
    slices = expr.slices(n)
    return int((slices.stop - 1 - slices.row).max(initial=-n))


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
    words = {name for name, default in entry.defaults.items() if isinstance(default, str) and not default[0].isdigit()}
    assert {name for name, param in entry.params.items() if param.words} == words, (
        "a parameter that is a word has words"
    )
    for name, param in entry.params.items():
        assert param.source, f"{name} has no source"
        if param.default is not None:
            param.check(entry.name, name, param.default)
        else:
            assert param.follows or entry.resolve, f"{name} has no value"
    assert entry.path.read_text().startswith('"""')


@each_name
def test_parameters_resolve_to_themselves(name: str) -> None:
    target = door.find(name)
    for n in LENGTHS:
        once = target.resolve(n)
        assert None not in once.values()
        again = door.find(name, params=once).resolve(n)
        assert once == again


@each_name
def test_paper_formula_is_an_integer_that_grows(name: str) -> None:
    target = door.find(name)
    causal = target.card.native_causal
    values = [target.flops_paper(shape_of(n, causal)) for n in (1024, 4096)]
    if None not in values:
        short, long = (value for value in values if value is not None)
        assert isinstance(short, int)
        assert 0 < short < long


WORDS = [(name, param) for name in NAMES for param, its in catalog.entry(name).params.items() if its.words]


@pytest.mark.parametrize(("name", "param"), WORDS)
def test_a_word_that_is_no_choice_is_refused_with_those_that_are(name: str, param: str) -> None:
    with pytest.raises(AttnprofError, match=f"unknown {param} of {name} 'other'"):
        door.find(name, params={param: "other"})
    for word in catalog.entry(name).params[param].words:
        assert door.find(name, params={param: word}).graph(shape_of(64, catalog.card(name).native_causal))
