"""The sampled engine against reach by dense boolean products, on graphs whose edges hang on a few tokens."""

from __future__ import annotations

import importlib
from collections.abc import Callable

import numpy as np
import pytest

from attnprof.graph.engines import bits, sampled
from attnprof.graph.layered import LayeredRelation
from attnprof.graph.metrics.baseline import baseline
from attnprof.graph.metrics.clustering import clustering
from attnprof.graph.metrics.components import components
from attnprof.graph.metrics.distances import hops, reach_curve
from attnprof.graph.reach import ReachRequest
from attnprof.graph.subject import Subject
from attnprof.pattern import Explicit, Pattern, Slices
from attnprof.words import EngineName

N, DEPTH, SEEDS = 1280, 4, 60
Mask = np.ndarray


def star() -> Mask:
    mask = np.eye(N, dtype=np.bool_)
    mask[0], mask[:, 0] = True, True
    return mask


def near(width: int) -> Mask:
    at = np.arange(N)
    return np.abs(at[:, None] - at) <= width


def window_and_hub() -> Mask:
    return near(1) | star()


def window_and_column() -> Mask:
    mask = near(1)
    mask[:, N // 3] = True
    return mask


def popular_keys() -> Mask:
    """Three keys a query, drawn as unevenly as words: a few keys are read by most."""
    rng = np.random.default_rng(11)
    chance = 1 / np.arange(1, N + 1)
    mask = np.zeros((N, N), dtype=np.bool_)
    for row in range(N):
        mask[row, rng.permutation(N)[rng.choice(N, 3, p=chance / chance.sum())]] = True
    mask[:, rng.integers(N)] = True
    return mask


def two_communities() -> Mask:
    """Tight groups of 16 and 1264 that one edge joins."""
    mask = near(2)
    mask[:16, :16] = True
    mask[16:, :16], mask[:16, 16:] = False, False
    mask[20, 3] = True
    return mask


def long_path() -> Mask:
    return np.eye(N, k=-1, dtype=np.bool_)


def past_and_first() -> Mask:
    mask = np.tril(near(2))
    mask[:, 0] = True
    return mask


GRAPHS: list[Callable[[], Mask]] = [
    *(star, window_and_hub, window_and_column, popular_keys, two_communities, long_path, past_and_first)
]


def subject(mask: Mask) -> Subject:
    rows, keys = np.nonzero(mask)
    slices = Slices.from_pairs(N, rows, keys)
    return Subject(
        Pattern("mask", N, False, lambda layer, head: Explicit(slices)), ReachRequest(DEPTH), EngineName.SAMPLED
    )


def shares(mask: Mask) -> list[float]:
    """The share of allowed pairs within 1, 2, ... layers, by products of the whole mask."""
    step = (mask | np.eye(N, dtype=np.bool_)).astype(np.float32)
    pairs = N * N if np.triu(mask, 1).any() else N * (N + 1) // 2
    reached, found = np.eye(N, dtype=np.float32), []
    for _ in range(DEPTH):
        reached = (step @ reached > 0).astype(np.float32)
        found.append(float(reached.sum()) / pairs)
    return found


@pytest.mark.parametrize("graph", GRAPHS, ids=lambda graph: graph.__name__)
def test_every_share_is_covered_and_the_first_is_exact(
    graph: Callable[[], Mask], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With 64 of 1280 tokens in a sample, fewer than half of the samples hold the few that carry the edges."""
    monkeypatch.setattr(sampled, "GROUPS", 1)
    mask = graph()
    expected = shares(mask)
    stack = subject(mask).stack
    covered = np.zeros(DEPTH)
    for seed in range(SEEDS):
        found = sampled.run(stack, ReachRequest(DEPTH, seed=seed))
        assert found.layers[0].share == found.layers[0].low == found.layers[0].high == pytest.approx(expected[0])
        for at, truth in enumerate(expected):
            entry = found.layers[min(at, len(found.layers) - 1)]
            assert entry.low is not None
            assert entry.high is not None
            covered[at] += entry.low - 1e-12 <= truth <= entry.high + 1e-12
    assert (covered >= 0.93 * SEEDS).all(), covered / SEEDS


def test_a_sample_of_all_is_no_sample() -> None:
    slices = Slices.from_pairs(100, np.arange(1, 100), np.arange(99))
    found = sampled.run(LayeredRelation.single(slices), ReachRequest())
    assert (found.certainty, found.layers_to_full, found.sources) == ("exact", 99, 100)


def test_what_a_sample_cannot_bound_is_not_told() -> None:
    """A largest hop, a mean of hops, and whatever rests on them: None with a reason, or marked as a bound."""
    given = subject(window_and_column())
    for metric in (reach_curve, hops, baseline, components):
        facts = metric(given)
        for key, value in facts.values.items():
            how = facts.certainty.get(key, "exact")
            assert value is not None or key in facts.reasons, key
            assert value is None or how != "sampled" or key == "reach", key
    told = reach_curve(given)
    assert told.values["layers_to_full"] is None
    assert told.reasons["layers_to_full"].startswith("at least 4: ")
    assert "never" not in str(told.reasons)
    assert hops(given).certainty["eccentricity_out"] == "bound"


def test_wedges_cover_the_clustering_of_a_graph_with_hubs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The exact value by triangles of the whole mask, as Watts and Strogatz define it."""
    mask = window_and_hub()
    joined = (mask | mask.T) & ~np.eye(N, dtype=np.bool_)
    wide = joined.astype(np.float64)
    degree = wide.sum(axis=1)
    truth = float((((wide @ wide) * wide).sum(axis=1) / np.maximum(degree * (degree - 1), 1)).mean())
    hit, rounds = 0, 60
    rows, keys = np.nonzero(mask)
    slices = Slices.from_pairs(N, rows, keys)
    monkeypatch.setattr(importlib.import_module("attnprof.graph.metrics.clustering"), "WEDGES", 60)
    for seed in range(rounds):
        each = Subject(
            Pattern("mask", N, False, lambda layer, head: Explicit(slices)),
            ReachRequest(1, seed=seed),
            EngineName.SAMPLED,
        )
        interval = clustering(each).values["clustering_interval"]
        hit += interval["low"] <= truth <= interval["high"]
    assert hit >= 0.93 * rounds


def test_bits_are_counted_by_column() -> None:
    rng = np.random.default_rng(2)
    words = rng.integers(0, 1 << 63, (700, 3), dtype=np.uint64)
    spelled = np.unpackbits(words.astype("<u8").view(np.uint8), axis=1, bitorder="little")
    assert bits.column_counts(words).tolist() == spelled.sum(axis=0, dtype=np.int64).tolist()
