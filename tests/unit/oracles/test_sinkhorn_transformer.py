"""Sinkhorn's balancing against the sinkhorn-transformer package; its causal class takes the best blocks instead."""

from __future__ import annotations

import pytest
import torch

from attnprof.layers.sorting import balanced_logs

sinkhorn = pytest.importorskip(
    "sinkhorn_transformer.sinkhorn_transformer", reason="sinkhorn-transformer is an oracle for tests only"
)


@pytest.mark.parametrize("iterations", [1, 5, 8])
def test_balancing_gives_the_same_weights(iterations: int) -> None:
    scores = torch.randn(3, 16, 16)
    theirs = sinkhorn.sinkhorn_sorting_operator(scores, iterations)
    torch.testing.assert_close(balanced_logs(scores, 1.0, iterations).exp(), theirs, rtol=1e-5, atol=1e-6)
