"""Every primitive and union means one thing: to its one line, to slices, to the rule, to plans, to what executes it."""

from __future__ import annotations

import os
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from attnprof.contracts import Spec
from attnprof.layers.flex_kernel import tile_edges
from attnprof.layers.gathered import GatherCore
from attnprof.layers.masked_softmax import MaskedCore
from attnprof.pattern import Expr, Pattern
from attnprof.shapes import Shape
from tests.laws.meanings import PRIMITIVES, Meant, lag_unions, mask_of, unions

WIDTH = 3
EXAMPLES = int(os.environ.get("ATTNPROF_EXAMPLES", "20"))
Kind = Callable[[int], st.SearchStrategy[Meant]]
LENGTHS = st.one_of(st.integers(1, 4), st.sampled_from([5, 7, 11, 13, 16, 17]))


each_kind = pytest.mark.parametrize("kind", [*PRIMITIVES, unions, lag_unions], ids=lambda kind: kind.__name__)


@each_kind
@settings(max_examples=EXAMPLES)
@given(st.data())
def test_slices_and_rule_are_the_meaning(kind: Kind, data: st.DataObject) -> None:
    n = data.draw(LENGTHS)
    expr, reads = data.draw(kind(n))
    expected = mask_of(reads, n)
    slices = expr.slices(n)
    assert (slices.dense() == expected).all()
    assert slices.edges == expr.edges(n) == expected.sum(), "an edge is named twice"
    assert (tile_edges(slices, 4).sum()) == expected.sum()
    rule = expr.rule(np.arange(n)[:, None], np.arange(n)[None])
    assert rule is None or (np.broadcast_to(rule, (n, n)) == expected).all()


@each_kind
@settings(max_examples=EXAMPLES)
@given(st.data())
def test_each_computes_the_softmax_over_the_edges(kind: Kind, data: st.DataObject) -> None:
    """Forward and all gradients in float64; a query that reads nothing gives 0, and takes part in no gradient.

    Two heads of patterns of their own: they run together where their plans are alike.
    """
    n = data.draw(LENGTHS)
    heads = [data.draw(kind(n)) for _ in range(2)]
    masks = [mask_of(reads, n) for _, reads in heads]
    torch.manual_seed(n)
    streams = tuple(torch.randn(1, 2, n, WIDTH, dtype=torch.float64) for _ in range(3))
    expected = differentiated(lambda *x: row_by_row(*x, masks), streams)
    for core in (GatherCore, MaskedCore):
        made = core(spec_of([expr for expr, _ in heads], n))
        torch.testing.assert_close(differentiated(made, streams), expected, rtol=0, atol=1e-11)


def spec_of(heads: list[Expr], n: int) -> Spec:
    """Heads that have an expression each."""
    shape = Shape(n, dim=WIDTH * len(heads), heads=len(heads), dtype="float64", level="core")
    return Spec(shape, {}, Pattern("drawn", n, False, lambda layer, head: heads[head], 1, len(heads)))


def row_by_row(q: Tensor, k: Tensor, v: Tensor, masks: list[np.ndarray]) -> Tensor:
    """exp(q_i k_j / sqrt(d)) over the edges of each row, divided by their sum; 0 for a row without any."""
    return torch.stack([torch.stack(_rows(q[0, at], k[0, at], v[0, at], mask)) for at, mask in enumerate(masks)])[None]


def _rows(q: Tensor, k: Tensor, v: Tensor, mask: np.ndarray) -> list[Tensor]:
    rows = []
    for i, edges in enumerate(mask):
        keys = np.flatnonzero(edges).tolist()
        scores = (k[keys] @ q[i]) / WIDTH**0.5
        shares = (scores - scores.max().detach()).exp() if keys else scores
        rows.append(shares / shares.sum() @ v[keys] if keys else 0 * v[0])
    return rows


def differentiated(run: object, streams: tuple[Tensor, ...]) -> list[Tensor]:
    """The output, and the gradients of all streams (zeros where there is none)."""
    leaves = [x.clone().requires_grad_() for x in streams]
    out = run(*leaves)  # type: ignore[operator]
    weight = torch.arange(out.numel(), dtype=torch.float64).sin().reshape(out.shape)
    grads = torch.autograd.grad(out, leaves, weight, allow_unused=True)
    return [out.detach(), *(torch.zeros_like(x) if g is None else g for x, g in zip(leaves, grads, strict=True))]
