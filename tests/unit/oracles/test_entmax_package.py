"""alpha-entmax against the `entmax` package (1.3): weights, and gradients of scores and of alpha."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from attnprof.layers.threshold import Entmax

package = pytest.importorskip("entmax", reason="entmax is not installed: make oracles")


def scores(deviation: float) -> Tensor:
    """Rows of 300, with ties among them."""
    drawn = deviation * torch.randn(2, 3, 7, 300, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    drawn[..., 5] = drawn[..., 4]
    return drawn


@pytest.mark.parametrize("deviation", [0.1, 1.0, 5.0])
def test_weights_and_gradients_equal_those_of_the_sorted_forms(deviation: float) -> None:
    for alpha, exact in ((None, package.sparsemax), (torch.tensor(1.5, dtype=torch.float64), package.entmax15)):
        ours, theirs = (scores(deviation).requires_grad_() for _ in range(2))
        grad = torch.randn_like(ours)
        made, expected = Entmax.apply(ours, alpha), exact(theirs, -1)
        torch.testing.assert_close(made, expected, rtol=1e-10, atol=1e-12)
        made.backward(grad)
        expected.backward(grad)
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-9, atol=1e-10)


def test_every_head_has_its_own_alpha_and_learns_it() -> None:
    values = torch.tensor([1.1, 1.5, 1.9], dtype=torch.float64)[:, None, None]
    grad = torch.randn(2, 3, 7, 300, dtype=torch.float64)
    ours, theirs = values.clone().requires_grad_(), values.clone().requires_grad_()
    Entmax.apply(scores(1.0), ours).backward(grad)
    weights = package.entmax_bisect(scores(1.0), theirs.expand(2, 3, 7, 1), -1, 60)
    torch.testing.assert_close(Entmax.apply(scores(1.0), values), weights, rtol=1e-8, atol=1e-10)
    weights.backward(grad)
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-6, atol=1e-8)
