"""What a scheme spends on choosing stands apart: core, selection and the products with parameters are all there is."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import attnprof
from attnprof.counting import count
from attnprof.layers.recurrent import ShortConv
from attnprof.layers.selecting import selecting, watching
from attnprof.shapes import Shape
from attnprof.targets import catalog
from attnprof.words import Pass
from tests.laws.cases import Case, as_params, cases

EVERY = [case for case in cases() if case.impl != "masked"]
CHOOSING = (
    *("block_selected", "clustered", "clusterformer", "csa", "dsa", "moba", "nsa"),
    *("reformer", "routing", "sinkhorn", "sortcut"),
)


class Marked:
    """Whether something is being chosen, and the products in there and beside, as they run."""

    depth = 0

    def began(self) -> None:
        self.depth += 1

    def ended(self) -> None:
        self.depth -= 1


def linear_flops(module: nn.Module, inputs: tuple[Tensor, ...], mark: Marked) -> int:
    """FLOPs of linear maps and short convolutions outside the core that choose nothing, by the sizes of a real run."""
    core = {id(part) for name, part in module.named_modules() if "core" in name.split(".")}
    found: list[int] = []

    def note(part: nn.Module, args: Any, out: Tensor) -> None:
        if not mark.depth:
            found.append(2 * out.numel() * args[0].shape[-1])

    def note_filter(part: nn.Module, args: Any, out: tuple[Tensor, Tensor]) -> None:
        assert isinstance(part, ShortConv)
        found.append(2 * out[0].numel() * part.weight.shape[-1])

    linear = [part for part in module.modules() if isinstance(part, nn.Linear) and id(part) not in core]
    handles = [part.register_forward_hook(note) for part in linear]
    filters = [part for part in module.modules() if isinstance(part, ShortConv)]
    handles += [part.register_forward_hook(note_filter) for part in filters]
    with torch.no_grad(), watching(mark):
        module(*inputs)
    for handle in handles:
        handle.remove()
    return sum(found)


@pytest.mark.parametrize("case", as_params(EVERY))
def test_core_selection_and_projections_are_all_there_is(case: Case) -> None:
    shape = case.shape(100, "float32", dim=32)
    torch.manual_seed(0)
    module, mark = case.target.build(shape).eval(), Marked()
    projections = linear_flops(module, case.target.inputs(shape), mark)
    cost = count(case.target, shape, Pass.FORWARD).cost
    assert cost.flops_core_executed is not None
    assert cost.selection_flops is not None
    assert cost.flops_executed == cost.flops_core_executed + cost.selection_flops + projections
    assert mark.depth == 0


@pytest.mark.parametrize("case", as_params([case for case in cases(varied=False) if case.name in CHOOSING]))
def test_what_chooses_is_marked(case: Case) -> None:
    """At small parameters, which leave something to choose."""
    shape = case.shape(100, "float32", dim=32)
    cost = count(case.target, shape, Pass.FORWARD).cost
    assert cost.selection_flops == case.target.flops_selection(shape) > 0


def test_a_scheme_that_draws_its_edges_from_its_data_says_what_choosing_costs() -> None:
    drawn = {name for name in catalog.distinct_schemes() if catalog.card(name).data_dependent}
    assert drawn - NO_PRODUCTS <= set(CHOOSING)


# What chooses without a product: by the scores that its softmax has anyway.
NO_PRODUCTS = {"entmax"}


class Hashed(nn.Module):
    """A toy that chooses by a product with a gradient, and mixes by one product of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.turn = nn.Parameter(torch.ones(4, 4))

    def forward(self, x: Tensor) -> Tensor:
        with selecting(), selecting():
            gate = (x @ self.turn).softmax(-1)
        return gate @ x.transpose(-2, -1) @ x


def test_the_backward_of_what_chooses_is_selection_too() -> None:
    """[b, 8, 4] x [4, 4]: 2 * 8 * 4 * 4 forward, and as much again for each of its two gradients."""
    target, sizes = attnprof.target(Hashed()), Shape(8, dim=4, heads=1, batch=1)
    one = 2 * 8 * 4 * 4
    mixing = 2 * 8 * 4 * 8 + 2 * 8 * 8 * 4
    forward, train = (count(target, sizes, pass_).cost for pass_ in (Pass.FORWARD, Pass.TRAIN))
    assert (forward.selection_flops, forward.flops_core_executed) == (one, mixing)
    assert (train.selection_flops, train.flops_core_executed) == (3 * one, 3 * mixing)
    assert train.flops_executed == 3 * (one + mixing)
