"""Clusters of tokens: what random tokens read, what leaks, who reads nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from attnprof.shapes import Shape
from attnprof.targets import door


@pytest.mark.parametrize(("n", "coverage"), [(1024, 0.862), (4096, 0.836)])
def test_k_means_covers_as_many_random_tokens_as_measured(n: int, coverage: float) -> None:
    shares = []
    for seed in range(3):
        pattern = door.find("routing").pattern(Shape(n, causal=True, seed=seed))
        shares.append((pattern.slices().out_degree() > 0).mean())
    assert np.mean(shares) == pytest.approx(coverage, abs=0.02)
    assert np.mean(shares) > 1 - (1 - 1 / n**0.5) ** n**0.5 + 0.15


@pytest.mark.parametrize("sharing", ["causal", "never"])
@pytest.mark.parametrize("causal", [True, False], ids=["causal", "both-ways"])
def test_edges_are_counted_once_for_each_cluster(sharing: str, causal: bool) -> None:
    pattern = door.find("routing", params={"sharing": sharing}).pattern(Shape(256, causal=causal))
    sample = pattern.expr().draw.__self__
    query, key, edge = np.broadcast_arrays(*sample.pairs())
    assert query.shape == (16, 16, 16)
    assert pattern.edges_sum() == edge.sum()
    assert pattern.edges() == len(np.unique(query[edge] * 256 + key[edge]))


def test_a_later_token_pushes_an_earlier_one_out_of_its_cluster() -> None:
    """The leak on the card: outputs before the first changed token change."""
    target = door.find("routing")
    shape = Shape(128, dim=16, heads=2, causal=True, level="core", dtype="float64")
    module, (qk, v) = target.build(shape), target.inputs(shape)
    moved = qk.clone()
    moved[:, :, 70:] = torch.randn_like(moved[:, :, 70:])
    changed = (module(moved, v) - module(qk, v)).abs().amax((0, 1, 3)) > 1e-9
    assert int(changed.nonzero()[0]) < 70
    members = module.members(*module.normed(qk, v)[:2])
    module.members = lambda q, k: members
    torch.testing.assert_close(module(moved, v)[:, :, :70], module(qk, v)[:, :, :70], rtol=0, atol=1e-12)


def test_a_token_that_no_centroid_takes_gives_nothing() -> None:
    target = door.find("routing", params={"clusters": 4, "window": 8})
    shape = Shape(64, dim=16, heads=2, level="core")
    module, streams = target.build(shape), target.inputs(shape)
    taken = module.members(*module.normed(*streams)[:2])[0]
    free = torch.ones(1, 2, 64, dtype=torch.bool).scatter(-1, taken.flatten(2), False)
    out = module(*streams)
    assert free.any()
    assert (out[free] == 0).all()
    assert (out[~free] != 0).all()


def test_learning_moves_centroids_towards_their_tokens() -> None:
    target = door.find("routing", params={"clusters": 4})
    shape = Shape(256, dim=16, heads=2, causal=True, level="core")
    module = target.build(shape)
    qk, v = target.inputs(shape)
    qk = qk + 3 * F.normalize(torch.randn(1, 2, 1, 8), dim=-1)

    def nearness() -> float:
        return float((module.normed(qk, v)[0] @ module.centroids.transpose(-2, -1)).amax(-1).mean())

    before = nearness()
    for _ in range(200):
        module.learn(qk, v)
    assert nearness() > before
    torch.testing.assert_close(module.centroids.norm(dim=-1), torch.ones(2, 4))


def test_clusters_and_window_follow_the_square_root() -> None:
    found = [(s["clusters"], s["window"]) for s in (door.find("routing").resolve(n) for n in (1, 100, 1000, 4096))]
    assert found == [(1, 1), (10, 10), (32, 32), (64, 64)]
