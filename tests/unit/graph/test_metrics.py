from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from attnprof.graph.layered import LayeredRelation
from attnprof.graph.metrics.clustering import clustering, of_tokens
from attnprof.graph.metrics.components import components
from attnprof.graph.metrics.degrees import gini
from attnprof.graph.metrics.disjoint_paths import vertex_disjoint_paths
from attnprof.graph.metrics.hubs import hub_tokens
from attnprof.graph.metrics.mixing import mixings
from attnprof.graph.metrics.properties import structure
from attnprof.graph.metrics.redundant_heads import redundant_heads
from attnprof.graph.metrics.slot_counts import bottleneck
from attnprof.graph.metrics.spectrum import eigenvalues, spectral_gap
from attnprof.graph.products import is_symmetric, pull, push
from attnprof.graph.reach import ReachRequest
from attnprof.graph.record import describe
from attnprof.graph.subject import Subject
from attnprof.graph.token_edges import remove
from attnprof.pattern import (
    Band,
    Blocks,
    BlockTable,
    Dense,
    Expr,
    Global,
    Kernel,
    KeyTable,
    Offsets,
    Pattern,
    Slices,
    Slots,
    Strided,
    Summary,
)

RNG = np.random.default_rng(0)


def subject(n: int, *kinds: Expr, causal: bool = False, heads: list[Expr] | None = None) -> Subject:
    if heads:
        return Subject(Pattern("given", n, causal, lambda layer, head: heads[head], heads=len(heads)))
    return Subject(Pattern("given", n, causal, lambda layer, head: kinds[layer], layers=len(kinds)))


@pytest.mark.parametrize("n", [37, 64, 128])
@pytest.mark.parametrize(
    "expr",
    [Band(5, 2), Strided(7) | Band(3), Summary(8, 5, 7), KeyTable(RNG.integers(0, 37, (128, 4)))],
    ids=["band", "strided", "summary", "random"],
)
def test_products_over_slices_are_matrix_products(n: int, expr: Expr) -> None:
    slices = expr.slices(n)
    mask = slices.dense().astype(np.float64)
    x = RNG.standard_normal(n)
    assert pull(slices, x) == pytest.approx(mask @ x)
    assert push(slices, x) == pytest.approx(mask.T @ x)
    assert is_symmetric(slices) == bool((mask == mask.T).all())


@pytest.mark.parametrize(("values", "expected"), [([1, 1, 1, 1], 0.0), ([0, 0, 0, 4], 0.75), ([1, 2, 3, 4], 0.25)])
def test_gini_of_known_counts(values: list[int], expected: float) -> None:
    assert gini(np.asarray(values)) == pytest.approx(expected)


def test_gini_of_nothing_is_none() -> None:
    assert gini(np.zeros(4, dtype=np.int64)) is None


@pytest.mark.parametrize(
    ("globals_", "after_two", "after_twelve", "apart"), [(1, 0.002, 0.014, 0.48), (4, 0.008, 0.052, None)]
)
def test_a_global_token_gives_reach_at_once_and_influence_hardly_ever(
    globals_: int, after_two: float, after_twelve: float, apart: float | None
) -> None:
    stack = LayeredRelation.single((Band(256, 256) | Global(globals_)).slices(4096))
    plain, half = mixings(stack, (0.0, 0.5), 12)
    assert plain.far[1] == pytest.approx(after_two, abs=0.0005)
    assert plain.far[-1] == pytest.approx(after_twelve, abs=0.0005)
    assert half.far[-1] == pytest.approx(plain.far[-1] / 2, rel=0.05)
    assert apart is None or plain.to_even[-1] == pytest.approx(apart, abs=0.005)


@pytest.mark.parametrize("residual", [0.0, 0.5, 0.9])
@pytest.mark.parametrize(
    "kinds",
    [[Band(4, 4) | Global(1)], [Band(5)], [Blocks(8, causal=True), Summary(8, 6, 8, True)], [Blocks(8, 1, 1)]],
    ids=["hub", "causal", "alternating", "blocks"],
)
def test_influence_is_the_product_of_the_walks(kinds: list[Expr], residual: float) -> None:
    n, depth = 64, 4
    found = subject(n, *kinds)
    result = mixings(found.stack, (residual,), depth)[0]
    product = np.eye(n)
    for layer in range(depth):
        mask = kinds[layer % len(kinds)].slices(n).dense().astype(np.float64)
        degree = mask.sum(axis=1, keepdims=True)
        walk = np.where(degree > 0, mask / np.maximum(degree, 1), np.eye(n))
        product = (residual * np.eye(n) + (1 - residual) * walk) @ product
    assert result.layers[-1] == depth
    assert result.far[-1] == pytest.approx(product[result.output, result.token] * n, abs=1e-12)
    assert result.to_even[-1] == pytest.approx(0.5 * np.abs(product[result.output] - 1 / n).sum())


def test_nothing_out_of_reach_has_influence() -> None:
    result = mixings(LayeredRelation.single(Band(4, 4).slices(512)), (0.5,), 8)[0]
    assert result.far == (0.0,) * 8


@pytest.mark.parametrize(("g", "gap"), [(1, 8.2e-3), (4, 3.08e-2), (16, 0.1114)])
def test_the_gap_with_hubs_is_theirs(g: int, gap: float) -> None:
    second, _, residual = eigenvalues((Band(64, 64) | Global(g)).slices(4096))
    assert 1 - second == pytest.approx(gap, rel=0.01)
    assert residual < 1e-6


def test_the_gap_of_an_open_window() -> None:
    assert 1 - eigenvalues(Band(64, 64).slices(4096))[0] == pytest.approx(4.143e-4, rel=0.002)


def test_the_gap_of_a_ring() -> None:
    n, h = 128, 5
    lags = tuple(lag for k in range(-h, h + 1) for lag in {k, k - n, k + n})
    second, _, _ = eigenvalues(Offsets(lags).slices(n))
    exact = np.sin(np.pi * (2 * h + 1) / n) / ((2 * h + 1) * np.sin(np.pi / n))
    assert second == pytest.approx(exact)


def watts_strogatz(slices: Slices) -> float:
    import networkx as nx

    mask = slices.dense() | slices.dense().T
    np.fill_diagonal(mask, val=False)
    return nx.average_clustering(nx.from_numpy_array(mask))


@pytest.mark.parametrize(
    "expr",
    [
        Band(5, 5),
        Band(4),
        Global(2) | Band(1, 1),
        Strided(8),
        Dense(),
        Blocks(8, 1, 1),
        KeyTable(RNG.integers(0, 64, (64, 3))),
    ],
    ids=["window", "causal", "longformer", "strided", "dense", "blocks", "random"],
)
def test_clustering_is_that_of_networkx(expr: Expr) -> None:
    found = clustering(subject(64, expr))
    assert found.values["clustering"] == pytest.approx(watts_strogatz(expr.slices(64)))
    assert found.certainty.get("clustering", "exact") == "exact"


@pytest.mark.parametrize("k", [4, 12])
def test_a_ring_clusters_by_its_closed_form(k: int) -> None:
    lags = tuple(lag for lag in range(-k // 2, k // 2 + 1))
    ring = Offsets(lags) | Offsets(tuple(lag - 200 for lag in lags)) | Offsets(tuple(lag + 200 for lag in lags))
    assert of_tokens(ring.slices(200)) == pytest.approx(3 * (k - 2) / (4 * (k - 1)))


def test_a_sample_of_wedges_brackets_the_exact_coefficient() -> None:
    expr = Band(32, 32) | Global(4)
    found = clustering(subject(2048, expr)).values
    interval = found["clustering_interval"]
    assert interval["low"] <= of_tokens(expr.slices(2048)) <= interval["high"]
    assert clustering(subject(2048, expr)).values == found


def test_tokens_that_meet_in_slots_have_no_neighbours() -> None:
    found = clustering(subject(64, Slots.full(64, 4)))
    assert found.values["clustering"] is None
    assert "slots" in found.reasons["clustering"]


def test_blocks_have_the_eigenvalues_of_their_tokens() -> None:
    table = np.concatenate([np.arange(16)[:, None], RNG.integers(0, 16, (16, 2))], axis=1)
    expr = BlockTable(8, table)
    found = spectral_gap(subject(128, expr)).values["spectrum"]
    mask = expr.slices(128).dense().astype(float)
    whole = (mask + mask.T) / 2
    scale = 1 / np.sqrt(whole.sum(axis=1))
    assert found["lambda_2"] == pytest.approx(np.linalg.eigvalsh(scale[:, None] * whole * scale)[-2])
    assert found["symmetrised"]


@pytest.mark.parametrize(
    ("kinds", "why"),
    [([Band(5)], "causal"), ([Band(2, 2), Band(3, 3)], "layers differ"), ([Slots.full(64, 4)], "slots")],
)
def test_there_is_no_gap_where_it_says_nothing(kinds: list[Expr], why: str) -> None:
    facts = spectral_gap(subject(64, *kinds))
    assert facts.values["spectrum"] is None
    assert why in facts.reasons["spectrum"]


@pytest.mark.parametrize(
    ("expr", "routes"), [(Band(4, 4) | Global(2), [0, 2, 6, 10, 10]), (Band(4, 4), [0, 0, 2, 6, 10])]
)
def test_globals_are_disjoint_paths_and_no_more(expr: Expr, routes: list[int]) -> None:
    stack = LayeredRelation.single(expr.slices(60))
    assert [vertex_disjoint_paths(stack, (30, 40), (50, 60), layers) for layers in range(1, 6)] == routes


def test_paths_through_blocks_are_those_through_tokens() -> None:
    expr = Blocks(16, 1, 1)
    blocked, plain = subject(512, expr).stack, LayeredRelation.single(expr.slices(512))
    assert blocked.blocked
    for layers in (1, 2, 3):
        spans = ((256, 288), (304, 336))
        assert vertex_disjoint_paths(blocked, *spans, layers) == vertex_disjoint_paths(plain, *spans, layers)


@pytest.mark.parametrize(
    ("kinds", "strong", "root"),
    [
        ([Band(2, 2)], 1, True),
        ([Band(3)], 64, True),
        ([Blocks(8)], 8, False),
        ([Global(1, rows=False) | Band(0)], 64, True),
        ([KeyTable(RNG.integers(0, 64, (64, 1)))], None, None),
    ],
    ids=["window", "causal", "blocks", "column", "random"],
)
def test_components_and_quasi_roots(kinds: list[Expr], strong: int | None, root: bool | None) -> None:
    found = subject(64, *kinds)
    facts = components(found)
    graph = csr_array(found.stack.tokens[0].dense())
    expected = connected_components(graph, directed=True, connection="strong", return_labels=False)
    assert facts.values["strong_components"] == expected
    assert strong is None or expected == strong
    assert root is None or facts.values["quasi_root"] is root


def test_heads_that_repeat_others_are_named_and_shared_patterns_are_not() -> None:
    assert redundant_heads(subject(64, heads=[Band(3, 3), Band(1, 1), Band(2, 2, 4)])).values["idle_heads"] == [
        {"layer": 0, "head": 1}
    ]
    assert redundant_heads(subject(64, heads=[Band(3, 3), Band(3, 3)])).values["idle_heads"] == []


@pytest.mark.parametrize(
    ("expr", "hubs"), [(Band(3, 3) | Global(2), [0, 1]), (Band(3, 3), []), (Dense(), []), (Dense(True), [])]
)
def test_global_tokens_are_found(expr: Expr, hubs: list[int]) -> None:
    assert np.flatnonzero(hub_tokens(LayeredRelation.single(expr.slices(64)))).tolist() == hubs


@pytest.mark.parametrize("gone", [[0, 1], [63], [5, 40]], ids=["first", "last", "inside"])
@pytest.mark.parametrize("expr", [Band(3, 3) | Global(2), Strided(7) | Band(2), Band(2, 2, 3)])
def test_taking_tokens_out_leaves_the_rest_of_the_mask(expr: Expr, gone: list[int]) -> None:
    away = np.zeros(64, dtype=np.bool_)
    away[gone] = True
    slices = expr.slices(64)
    assert remove(slices, away).dense().tolist() == slices.dense()[~away][:, ~away].tolist()


@pytest.mark.parametrize(
    ("expr", "true"),
    [
        (Band(3, 3) | Global(1), {"star", "self", "symmetric"}),
        (Band(3), {"self", "causal", "toeplitz"}),
        (Offsets((1, 2)), {"causal", "toeplitz"}),
        (Offsets((3, -3, 0)), {"self", "symmetric", "toeplitz"}),
        (KeyTable(RNG.integers(0, 64, (64, 5))), set()),
        (Blocks(16), {"self", "symmetric"}),
    ],
)
def test_structure_is_what_the_mask_says(expr: Expr, true: set[str]) -> None:
    found = structure(subject(64, expr))
    assert {
        name for name in ("star", "self", "causal", "symmetric", "toeplitz") if found.values["structure"][name]
    } == true
    assert set(found.flags) == true


def test_block_size_and_path() -> None:
    found = structure(subject(64, Blocks(16) | Blocks(8, 1, 1))).values["structure"]
    assert (found["block_constant"], found["hamiltonian_path"]) == (8, "yes")
    assert structure(subject(64, Blocks(16))).values["structure"]["hamiltonian_path"] == "unknown"


def test_slots_and_kernels_say_how_narrow_they_are() -> None:
    slots = bottleneck(subject(64, Slots.full(64, 4))).values["slots"]
    assert slots[0]["count"] == 4
    assert slots[0]["reads"] == slots[0]["writes"] == 256
    kernel = bottleneck(subject(64, Kernel(16, True, 0.98))).values["kernel"]
    assert (kernel["rank_bound"], kernel["effective_window"]) == (16, pytest.approx(50))


def test_slot_nodes_are_hops_and_layers_are_not() -> None:
    facts = describe(subject(64, Slots.full(64, 4)), "slots")
    assert (facts["layers_to_full"], facts["diameter"]) == (1, 2)
    assert facts["edges"] is None
    assert "slots" in facts["reasons"]["edges"]


def test_what_was_not_reached_in_the_asked_layers_is_told_from_never() -> None:
    wide = Subject(Pattern("window", 256, False, lambda layer, head: Band(4, 4)), ReachRequest(layers=2))
    assert "not within the 2 layers" in describe(wide, "w")["reasons"]["layers_to_full"]
    assert "never" in describe(subject(64, Blocks(8)), "b")["reasons"]["layers_to_full"]


def test_dead_queries_and_unread_keys_are_counted_and_named() -> None:
    facts = describe(subject(64, Summary(8, 6, 8, True)), "summary")
    assert (facts["dead_queries"], facts["dead_queries_at"]) == (6, [0, 1, 2, 3, 4, 5])
    assert (facts["unread_keys"], facts["unread_keys_at"][:3]) == (48, [0, 1, 2])
