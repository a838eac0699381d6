"""Laws of the graph of every pattern in the catalogue: engines agree with each other and with networkx and scipy."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import networkx
import numpy as np
import pytest
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components, shortest_path

from attnprof.graph.analysis import Request, analyze, is_random
from attnprof.graph.export import digraph
from attnprof.graph.ladder import ENGINES
from attnprof.graph.layered import LayeredRelation
from attnprof.graph.metrics.components import weak_components
from attnprof.graph.pixels import Grid
from attnprof.graph.reach import Reach, ReachRequest
from attnprof.graph.relation import Relation
from attnprof.graph.subject import Subject
from attnprof.pattern import Pattern
from attnprof.shapes import Shape
from attnprof.targets import catalog
from attnprof.targets.scheme import CatalogTarget
from attnprof.units import Value
from tests.laws.cases import small, variants

HEADS = 3
EXACT = [engine for engine in ENGINES if engine.name != "sampled"]
CASES = [
    (name, causal, {**small(name), **variant})
    for name in catalog.names()
    for variant in ({}, *variants(name))
    for causal in catalog.entry(name).card.causality
]


def label(case: tuple[str, bool, dict[str, Value]]) -> str:
    name, causal, params = case
    return "-".join([name, "causal" if causal else "bidirectional", *(f"{k}={v}" for k, v in params.items())])


each_case = pytest.mark.parametrize(("name", "causal", "params"), CASES, ids=map(label, CASES))


def pattern_of(name: str, causal: bool, params: dict[str, Value], n: int, seed: int = 0) -> Pattern:
    target = CatalogTarget.of(catalog.entry(name), params, None)
    return target.graph(Shape(n=n, causal=causal, heads=HEADS, dim=8 * HEADS, seed=seed))


@cache
def stack_of(case: str, n: int) -> LayeredRelation:
    name, causal, params = next(each for each in CASES if label(each) == case)
    return LayeredRelation.of(pattern_of(name, causal, params, n))


def masks(stack: LayeredRelation) -> list[np.ndarray]:
    """Every layer kind as a dense mask over tokens."""
    found = []
    for part in stack.parts:
        mask = part.tokens().dense()
        if part.ways is not None:
            through = part.ways.writes.dense().astype(np.float32) @ part.ways.reads.dense().astype(np.float32)
            mask |= through > 0
        found.append(mask)
    return found


def layered_hops(stack: LayeredRelation) -> np.ndarray:
    """The layer after which i first depends on j, by dense products; -1 for never."""
    layers = masks(stack)
    reached = np.eye(stack.n, dtype=np.bool_)
    hops = np.where(reached, 0, -1)
    idle, depth = 0, 0
    while idle < len(layers):
        grown = reached | (layers[depth % len(layers)].astype(np.float32) @ reached.astype(np.float32) > 0)
        depth += 1
        hops[grown & ~reached] = depth
        idle = 0 if (grown != reached).any() else idle + 1
        reached = grown
    return hops


def answers(stack: LayeredRelation, ask: ReachRequest) -> dict[str, Reach]:
    found = {engine.name: engine.run(stack, ask) for engine in EXACT}
    return {name: reach for name, reach in found.items() if reach is not None}


@pytest.mark.parametrize("n", [37, 64])
@each_case
def test_all_engines_that_answer_agree_with_dense_products(
    name: str, causal: bool, params: dict[str, Value], n: int
) -> None:
    stack = stack_of(label((name, causal, params)), n)
    hops = layered_hops(stack)
    found = answers(stack, ReachRequest(side=8))
    assert len(found) >= 2
    for engine, reach in found.items():
        assert reach.histogram.tolist() == np.bincount(hops[hops >= 0]).tolist(), engine
        assert reach.farthest_out.tolist() == hops.max(axis=1).tolist(), engine
        assert reach.farthest_in.tolist() == hops.max(axis=0).tolist(), engine


@each_case
def test_hops_of_one_kind_of_layer_are_the_shortest_paths_of_scipy_and_networkx(
    name: str, causal: bool, params: dict[str, Value]
) -> None:
    stack = stack_of(label((name, causal, params)), 64)
    if stack.period > 1 or stack.plain is None:
        pytest.skip("layers differ or tokens meet in slots: no single graph over tokens")
    slices = stack.plain[0]
    hops = layered_hops(stack)
    indptr, indices = slices.csr()
    graph = csr_array((np.ones(len(indices)), indices, indptr), shape=(64, 64))
    by_scipy = shortest_path(graph, unweighted=True)
    assert np.where(np.isinf(by_scipy), -1, by_scipy).astype(int).tolist() == hops.tolist()
    lengths = dict(networkx.all_pairs_shortest_path_length(digraph(slices)))
    assert all(hops[i, j] == lengths[i].get(j, -1) for i in range(64) for j in range(64))


@each_case
def test_weak_components_are_those_of_scipy(name: str, causal: bool, params: dict[str, Value]) -> None:
    pattern = pattern_of(name, causal, params, 64)
    stack = LayeredRelation.of(pattern)
    union = np.logical_or.reduce(masks(stack))
    expected = connected_components(csr_array(union), directed=False, return_labels=False)
    assert weak_components(Subject(pattern)) == expected


@pytest.mark.parametrize("n", [37, 64, 200])
@each_case
def test_every_view_of_every_layer_has_the_same_edges(
    name: str, causal: bool, params: dict[str, Value], n: int
) -> None:
    """One head after the other is held to its rule by the laws of patterns; here their union, as a layer has it."""
    for seed in (0, 7) if is_random(CatalogTarget.of(catalog.entry(name), params, None)) else (0,):
        pattern = pattern_of(name, causal, params, n, seed)
        stack = LayeredRelation.of(pattern)
        if stack.slotted:
            pytest.skip("tokens meet in slots")
        for layer, part in enumerate(stack.parts):
            one_layer(part, np.logical_or.reduce([pattern.dense(layer, head) for head in range(pattern.heads)]), n)


def one_layer(part: Relation, mask: np.ndarray, n: int) -> None:
    assert part.tokens().dense().tolist() == mask.tolist()
    assert part.edges == mask.sum()
    assert part.out_degree().tolist() == mask.sum(axis=1).tolist()
    assert part.in_degree().tolist() == mask.sum(axis=0).tolist()
    assert set(digraph(part.tokens()).edges()) == {(int(i), int(j)) for i, j in np.argwhere(mask)}
    for side in (8, 32):
        grid = Grid.of(n, side)
        edges = grid.edges[:-1]
        expected = np.add.reduceat(np.add.reduceat(mask.astype(int), edges, axis=0), edges, axis=1)
        assert part.pooled(grid).tolist() == expected.tolist()


@pytest.mark.parametrize("name", catalog.names())
def test_the_whole_analysis_is_json_and_says_how_sure_it_is(name: str) -> None:
    target = CatalogTarget.of(catalog.entry(name), small(name), None)
    facts: dict[str, Any] = analyze(target, Request(n=64, heads=2, dim=16, seeds=2, side=16)).facts
    assert json.loads(json.dumps(facts, allow_nan=False))
    missing = [key for key, value in facts.items() if value is None and key in CONTRACT]
    assert all(key in facts["reasons"] for key in missing), missing
    assert set(facts) >= CONTRACT
    assert set(facts["exact"].values()) <= {"exact", "bound", "sampled"}
    closed = facts["edges_closed_form"]["value"]
    assert closed is None or facts["edges"] is None or closed == facts["edges"]
    if facts["layers_to_full"] is None:
        assert ("in this draw" if is_random(target) else "never") in facts["reasons"]["layers_to_full"]


CONTRACT = {
    *("target", "n", "layers", "heads", "causal", "params", "edges", "edges_sum", "edges_closed_form", "density"),
    *("degree", "components", "dead_queries", "unread_keys", "reach", "layers_to_full", "max_hops", "diameter"),
    *("mean_hops", "hop_histogram", "exact", "engine", "seconds", "flags"),
}


@pytest.mark.parametrize("name", catalog.names())
def test_no_graph_reads_the_future_when_causal(name: str) -> None:
    entry = catalog.entry(name)
    if True not in entry.card.causality:
        pytest.skip("the scheme has no causal form")
    assert not LayeredRelation.of(pattern_of(name, True, small(name), 64)).reads_future
