"""Laws of stacks whose heads and layers differ: every number against dense matrices that share nothing with the graph.

The reference knows masks `[layers][heads][n, n]` of booleans and nothing else. Uniform attention of a layer is
mean_h D_h^-1 A_h, a row without keys being its own; layer 1 is the lowest, so that the product of `depth` layers has
it as its rightmost factor.
"""

from __future__ import annotations

import dataclasses
from functools import cache
from typing import Any

import numpy as np
import pytest

from attnprof.graph.analysis import Request, analyze
from attnprof.graph.metrics.spectrum import mean_eigenvalues, spectral_gap
from attnprof.graph.pixels import Grid
from attnprof.graph.record import describe
from attnprof.graph.subject import Subject
from attnprof.graph.views import cone
from attnprof.pattern import (
    Band,
    Blocks,
    Dense,
    Explicit,
    Expr,
    Global,
    Kernel,
    KeyTable,
    Offsets,
    Pattern,
    Slices,
    Slots,
    Strided,
)
from attnprof.shapes import Shape
from attnprof.targets import catalog, door
from attnprof.targets.scheme import CatalogTarget
from tests.laws.expressions import NAMES, expressions

CASES = range(40)
SIZES = (2, 5, 37, 64, 100)
Masks = list[list[np.ndarray]]


@cache
def case(seed: int) -> tuple[list[list[str]], Subject, Masks]:
    """A stack of 1 to 3 layers with 1 to 4 heads, drawn among all expressions, some of them shared."""
    draw = np.random.default_rng(seed)
    n = int(draw.choice(SIZES))
    made = expressions(n)
    names = [[str(name) for name in draw.choice(NAMES, draw.integers(1, 5))] for _ in range(draw.integers(1, 4))]
    heads = max(map(len, names))
    names = [(row * heads)[:heads] for row in names]
    pattern = Pattern("drawn", n, False, lambda layer, head: made[names[layer][head]], len(names), heads)
    masks = [[dense(made[name], n) for name in row] for row in names]
    return names, Subject(pattern), masks


def dense(expr: Expr, n: int) -> np.ndarray:
    """The mask from the slices, read one by one: what slices say is held to the rules by the laws of patterns."""
    mask, slices = np.zeros((n, n), dtype=bool), expr.slices(n)
    for row, start, stop, step in zip(slices.row, slices.start, slices.stop, slices.step, strict=True):
        mask[row, start:stop:step] = True
    return mask


def walk(heads: list[np.ndarray]) -> np.ndarray:
    total = np.zeros(heads[0].shape)
    for mask in heads:
        for i, row in enumerate(mask):
            total[i] += row / row.sum() if row.any() else np.eye(len(mask))[i]
    return total / len(heads)


def influence(masks: Masks, residual: float, depth: int) -> np.ndarray:
    n = len(masks[0][0])
    product = np.eye(n)
    for layer in range(depth):
        product = (residual * np.eye(n) + (1 - residual) * walk(masks[layer % len(masks)])) @ product
    return product


def full_attention(masks: Masks) -> tuple[Masks, bool]:
    """Dense attention with the causality of the masks: causal where nothing reads the future and something the past."""
    every = np.stack([mask for row in masks for mask in row])
    causal = not np.triu(every, 1).any() and bool(np.tril(every, -1).any())
    n = every.shape[-1]
    return [[np.tril(np.ones((n, n), dtype=bool)) if causal else np.ones((n, n), dtype=bool)]], causal


@pytest.mark.parametrize("seed", CASES)
def test_influence_is_that_of_heads_that_each_attend_evenly(seed: int) -> None:
    _, subject, masks = case(seed)
    facts = describe(subject, "drawn")
    whole, _ = full_attention(masks)
    n = subject.n
    sources = sorted({n // 4, n // 2, n - 1})
    for found in facts["mixing"]:
        for at, depth in enumerate(found["layers"]):
            mine = influence(masks, found["residual"], depth)
            even = influence(whole, found["residual"], depth)
            row = mine[found["output"]]
            assert found["far_influence"][at] == pytest.approx(n * row[found["token"]], abs=1e-9)
            assert found["on_first"][at] == pytest.approx(row[0], abs=1e-12)
            assert found["distance_to_even"][at] == pytest.approx(0.5 * np.abs(row - 1 / n).sum(), abs=1e-12)
            apart = [0.5 * np.abs(mine[source] - even[source]).sum() for source in sources]
            assert found["distance_to_dense"][at] == pytest.approx(np.mean(apart), abs=1e-12)


@pytest.mark.parametrize("seed", CASES[:20])
def test_a_cone_weighs_what_the_heads_do(seed: int) -> None:
    _, subject, masks = case(seed)
    n, (_, causal) = subject.n, full_attention(masks)
    for query in {0, n // 2, n - 1}:
        found = cone(subject.stack, query, Grid(n, 1), depth=4)
        assert found.influence is not None
        for layers, (seen, weight) in enumerate(zip(found.reach, found.influence, strict=True), 1):
            row = influence(masks, 0.5, layers)[query]
            assert (seen > 0).tolist() == (row > 0).tolist()
            assert weight == pytest.approx(row * (query + 1 if causal else n), abs=1e-9)


@pytest.mark.parametrize("seed", CASES)
def test_edges_and_degrees_are_of_all_heads_and_layers(seed: int) -> None:
    names, subject, masks = case(seed)
    facts = describe(subject, "drawn")
    every = np.stack([mask for row in masks for mask in row])
    n = subject.n
    edges = every.sum(axis=(1, 2))
    assert facts["edges"] == pytest.approx(edges.mean())
    assert facts["density"] == pytest.approx(every.mean())
    for key, degree in (("degree", every.sum(axis=2).ravel()), ("in_degree", every.sum(axis=1).ravel())):
        found = facts[key]
        assert (found["min"], found["max"]) == (degree.min(), degree.max())
        assert found["mean"] == pytest.approx(degree.mean())
        assert found["quantiles"] == pytest.approx(np.quantile(degree, (0.05, 0.25, 0.5, 0.75, 0.95)))
        assert found["gini"] == (None if degree.sum() == 0 else pytest.approx(pairwise_gini(degree)))
    assert facts["dead_queries"] == (every.sum(axis=2) == 0).sum(axis=1).max()
    assert facts["unread_keys"] == max((~np.any(row, axis=(0, 1))).sum() for row in masks)
    spent = sum(np.mean([mask.sum() for mask in masks[layer % len(masks)]]) for layer in range(depth_of(facts)))
    assert facts["edges_per_reached_pair"] == pytest.approx(spent / reached(masks))
    rows_are_those_of(facts["edges_by_layer"], names, masks, n)


def pairwise_gini(values: np.ndarray) -> float:
    """Half the relative mean difference of all pairs."""
    return float(np.abs(values[:, None] - values).mean() / (2 * values.mean()))


def depth_of(facts: dict[str, Any]) -> int:
    return max(len(facts["hop_histogram"]) - 1, 1)


def reached(masks: Masks) -> int:
    """Pairs within reach at any depth, by products of the unions."""
    seen = np.eye(len(masks[0][0]), dtype=bool)
    for depth in range(len(seen) * len(masks) + len(masks)):
        union = np.any(masks[depth % len(masks)], axis=0)
        seen = seen | (union.astype(float) @ seen.astype(float) > 0)
    return int(seen.sum())


def rows_are_those_of(rows: list[dict[str, Any]], names: list[list[str]], masks: Masks, n: int) -> None:
    """A row for each kind of layer, told apart by the names of its heads' patterns."""
    kinds = list(dict.fromkeys(tuple(row) for row in names))
    assert [row["layers"] for row in rows] == [
        [at + 1 for at, row in enumerate(names) if tuple(row) == kind] for kind in kinds
    ]
    for row in rows:
        heads = masks[row["layers"][0] - 1]
        edges = [int(mask.sum()) for mask in heads]
        assert (row["min"], row["max"], row["heads"]) == (min(edges), max(edges), len(heads))
        assert row["edges"] == pytest.approx(np.mean(edges))
        assert row["density"] == pytest.approx(np.mean(edges) / n**2)
        assert row["union"] == np.any(heads, axis=0).sum()


@pytest.mark.parametrize("n", [40, 64, 300, 512])
@pytest.mark.parametrize(
    "heads",
    [
        [Band(2, 2), Band(9, 9), Band(9, 9)],
        [Blocks(8, 1, 1), Blocks(16), Blocks(4, 0, 1)],
        [Band(1, 1), Offsets((0, 7, 20)), Global(2) | Band(1, 0)],
        [Band(1, 1), Strided(3), Offsets((5,))],
    ],
    ids=["windows", "blocks", "one way", "silent rows"],
)
def test_the_gap_is_that_of_the_mean_walk(n: int, heads: list[Expr]) -> None:
    """Eigenvalues of the dense matrix by LAPACK: the second largest and the least real part."""
    subject = Subject(Pattern("given", n, False, lambda layer, head: heads[head], heads=len(heads)))
    found = spectral_gap(subject).values["spectrum"]
    parts = np.sort(np.linalg.eigvals(walk([dense(expr, n) for expr in heads])).real)
    assert found["lambda_2"] == pytest.approx(parts[-2], abs=1e-6)
    assert found["gap"] == pytest.approx(1 - parts[-2], abs=1e-6)
    assert found["lambda_min"] == pytest.approx(parts[0], abs=1e-3)
    assert found["head_kinds"] == len(set(heads))


def test_heads_that_are_alike_have_the_eigenvalues_of_one() -> None:
    one = Subject(Pattern("one", 64, False, lambda layer, head: Band(3, 3)))
    found = mean_eigenvalues(one.stack.walk(1))
    assert found[0] == pytest.approx(spectral_gap(one).values["spectrum"]["lambda_2"])


def slots(seed: int, n: int) -> tuple[Slots, np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    count = int(draw.integers(1, 6))
    reads, writes = draw.random((count, n)) < 0.4, draw.random((n, count)) < 0.5
    reads[np.arange(count), draw.integers(0, n, count)] = True
    pair = [Slices.from_pairs(len(m), *np.nonzero(m), m.shape[1]) for m in (reads, writes)]
    return Slots(count, *pair), reads, writes


@pytest.mark.parametrize("seed", range(12))
def test_heads_with_slots_weigh_their_own_slots_evenly(seed: int) -> None:
    """A head with slots is W D_w^-1 times R D_r^-1; beside it stands one of plain edges."""
    n = 31
    expr, reads, writes = slots(seed, n)
    keys = np.random.default_rng(seed).integers(-1, n, (n, 3))
    heads = [expr, KeyTable(keys), expr]
    subject = Subject(Pattern("slots", n, False, lambda layer, head: heads[head], heads=3))
    through = np.zeros((n, n))
    for i, row in enumerate(writes):
        mean = reads / reads.sum(axis=1, keepdims=True)
        through[i] = row @ mean / row.sum() if row.any() else np.eye(n)[i]
    expected = (2 * through + walk([dense(heads[1], n)])) / 3
    assert subject.stack.walk(1).down(np.eye(n)) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("n", [24, 40])
def test_edges_beside_slots_are_counted_apart_from_them(n: int) -> None:
    """A band of 3 to each side has 7 n - 12 edges; 4 slots read all n tokens and are read by all: 4 n each way."""
    subject = Subject(Pattern("both", n, False, lambda layer, head: Slots.full(n, 4, Band(3, 3)), heads=2))
    facts = describe(subject, "both")
    assert (facts["edges"], facts["density"]) == (7 * n - 12, (7 * n - 12) / n**2)
    assert (facts["degree"]["min"], facts["degree"]["max"]) == (4, 7)
    (row,) = facts["slots"]
    assert (row["count"], row["reads"], row["writes"], row["direct"]) == (4, 4 * n, 4 * n, 7 * n - 12)
    assert facts["edges_per_reached_pair"] is None
    assert "slots" in facts["reasons"]["edges_per_reached_pair"]
    assert "slots" in facts["reasons"]["mixing"]


FIGURES: list[tuple[str, dict[str, Any], int, dict[int, float]]] = [
    ("bigbird", {}, 2048, {2: 0.489, 4: 0.606}),
    ("longformer", {"window": "2,2,2,2,2,2,2,512", "global_tokens": 0}, 1024, {4: 0.00045, 12: 0.0115}),
    ("sparse_fixed", {"combine": "heads"}, 1024, {12: 1.25}),
]


@pytest.mark.parametrize(("name", "params", "n", "shares"), FIGURES, ids=[row[0] for row in FIGURES])
def test_the_shares_that_an_independent_check_found(
    name: str, params: dict[str, Any], n: int, shares: dict[int, float]
) -> None:
    """mean_h D_h^-1 A_h, 8 heads, residual 0.5, by dense products outside of this code; their union has 1.19, 0.49."""
    found = analyze(door.find(name, params=params), Request(n=n, seeds=0)).facts["mixing"][0]
    by_layer = dict(zip(found["layers"], found["far_influence"], strict=True))
    for layer, share in shares.items():
        assert by_layer[layer] == pytest.approx(share, rel=0.012)


def dense_influence(draws: int, depth: int, n: int = 2048) -> float:
    """Of BigBird's last ordinary token on its middle output, as a multiple of a fair share, by dense products.

    Layer k has the heads that the pattern file draws for layer k mod `draws`; each attends evenly to its own keys.
    """
    pattern = dataclasses.replace(
        CatalogTarget.of(catalog.entry("bigbird"), {}, None).graph(Shape(n=n, heads=8, dim=512)), layers=draws
    )
    weights = np.zeros(n)
    weights[n // 2] = 1.0
    for layer in reversed(range(depth)):
        heads = [pattern.slices(layer, head).dense() for head in range(8)]
        read = np.mean([(weights / mask.sum(axis=1)) @ mask for mask in heads], axis=0)
        weights = 0.5 * weights + 0.5 * read
    return float(weights[n - 64 - 1] * n)  # the last block of 64 is global


def test_twelve_layers_have_twelve_draws_of_bigbird() -> None:
    """The check that found 0.861 after 12 layers repeated its first four draws; with a draw a layer it is 0.843."""
    assert dense_influence(4, 12) == pytest.approx(0.861, abs=0.0006)
    found = analyze(door.find("bigbird"), Request(n=2048, seeds=0)).facts["mixing"][0]
    assert found["far_influence"][-1] == pytest.approx(dense_influence(12, 12))
    assert found["far_influence"][-1] == pytest.approx(0.843, abs=0.0006)


@pytest.mark.parametrize("window", ["2,2,2,2,2,2,2,512", "512,2,2,2,2,2,2,2", "2,2,512,2,2,2,2,2"])
def test_the_order_of_heads_changes_nothing(window: str) -> None:
    """Seven windows of 3 n - 2 = 6,142 edges and one of 513 n - 256 * 257 = 984,832: mean 128,478.25; depth 8."""
    target = door.find("longformer", params={"window": window, "global_tokens": 0})
    facts = analyze(target, Request(n=2048, seeds=0)).facts
    assert facts["edges"] == facts["edges_closed_form"]["value"] == 128_478.25
    assert facts["edges_per_reached_pair"] == pytest.approx(8 * 128_478.25 / 2048**2)
    (row,) = facts["edges_by_layer"]
    assert (row["min"], row["max"], row["union"]) == (6_142, 984_832, 984_832)


def test_five_windows_and_a_full_layer_are_two_kinds() -> None:
    """Of 64 tokens a causal window of 8 has 8 * 64 - 28 = 484 edges, the full layer 2,080."""
    subject = Subject(Pattern("hybrid", 64, True, lambda layer, head: Dense(True) if layer == 5 else Band(7), 6, 2))
    facts = describe(subject, "hybrid")
    assert [(row["layers"], row["edges"], row["heads"]) for row in facts["edges_by_layer"]] == [
        ([1, 2, 3, 4, 5], 484, 2),
        ([6], 2080, 2),
    ]
    assert facts["edges"] == (5 * 484 + 2080) / 6


def test_a_kernel_forgets_by_head_and_all_are_told() -> None:
    """Windows 1 / (1 - decay) of 2, 4 and 4 tokens: mean 10 / 3."""
    decays = (0.5, 0.75, 0.75)
    subject = Subject(Pattern("k", 32, True, lambda layer, head: Kernel(4, True, decays[head]), heads=3))
    kernel = describe(subject, "k")["kernel"]
    assert kernel["effective_window"] == pytest.approx(10 / 3)
    assert (kernel["effective_window_min"], kernel["effective_window_max"]) == pytest.approx((2, 4))
    assert (kernel["decay_min"], kernel["decay_max"]) == (0.5, 0.75)


def test_edges_of_a_kernel_layer_are_none_and_those_of_the_others_their_own() -> None:
    subject = Subject(Pattern("mixed", 32, True, lambda layer, head: Band(3) if layer else Kernel(4, True), 2))
    facts = describe(subject, "mixed")
    assert [(row["edges"], row["other"]) for row in facts["edges_by_layer"]] == [(0, "kernel"), (4 * 32 - 6, None)]
    assert "kernel" in facts["reasons"]["mixing"]


@pytest.mark.parametrize("empty", [Blocks(8, -1, 0, causal=True), Band(-1), Explicit(Slices.empty(64))])
def test_a_layer_without_edges_takes_no_symmetry_away(empty: Expr) -> None:
    """No edge has another way round that were missing, and none depends on anything but i - j."""
    subject = Subject(Pattern("gap", 64, False, lambda layer, head: empty if layer else Band(2, 2), 2))
    found = describe(subject, "gap")["structure"]
    assert (found["symmetric"], found["toeplitz"]) == (True, True)
