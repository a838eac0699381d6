"""Routing against the routing-transformer package, bidirectional: under causality it adds a learned key to clusters."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from attnprof.shapes import Shape
from attnprof.targets import door

routing = pytest.importorskip(
    "routing_transformer.routing_transformer", reason="routing-transformer is an oracle for tests only"
)


@pytest.mark.parametrize("window", [16, 10], ids=["balanced", "narrow"])
def test_the_same_centroids_give_the_same_output(window: int) -> None:
    n, dim, heads, clusters = 64, 16, 2, 4
    theirs = routing.KmeansAttention(clusters, window, heads, dim // heads).eval()
    shape = Shape(n, batch=2, dim=dim, heads=heads, causal=False, level="core")
    ours = door.find("routing", params={"clusters": clusters, "window": window}).build(shape)
    theirs.kmeans.means.copy_(ours.centroids)
    theirs.kmeans.initted.fill_(True)
    q, k, v = torch.randn(3, 2, heads, n, dim // heads)
    out, _ = theirs(F.layer_norm(q, q.shape[-1:]), F.layer_norm(k, k.shape[-1:]), v)
    torch.testing.assert_close(ours(q, k, v), out, rtol=1e-4, atol=1e-4)
