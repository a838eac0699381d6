"""Whose a product is whose weight is no plain leaf: what parameters and constants make is a weight."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from attnprof.words import Pass
from tests.unit.counting.explicit import CORE, DERIVED, LINEAR, REST, B, Checked, D, Layer, N, counted


class Weighted(nn.Module):
    """A projection and a mixing whose weight comes from `derive(parameter, module)`."""

    def __init__(self, derive: Callable[..., Tensor]) -> None:
        super().__init__()
        self.derive = derive
        self.w = nn.Parameter(torch.randn(D, D))
        self.register_buffer("kept", torch.ones(D, D).tril())
        self.table = torch.arange(D)

    def forward(self, x: Tensor) -> Tensor:
        y = F.linear(x, self.derive(self.w, self))
        return y @ y.transpose(1, 2) @ y


WEIGHTS: dict[str, Callable[..., Tensor]] = {
    **{name: lambda w, m, f=f: f(w) for name, f in DERIVED.items()},
    "masked by a buffer": lambda w, m: w * m.kept,
    "rows picked": lambda w, m: w[m.table],
    "doubled": lambda w, m: w + w.t(),
    "constant beside": lambda w, m: torch.cat([w[:, :-1], torch.ones(D, 1)], 1),
    "dropped": lambda w, m: F.dropout(w, 0.5, True),
}


@pytest.mark.parametrize("how", WEIGHTS)
def test_what_parameters_and_constants_make_is_a_weight(how: str) -> None:
    assert counted(lambda: Weighted(WEIGHTS[how])) == (3 * CORE, 3 * CORE + 3 * LINEAR)
    assert counted(lambda: Checked(Weighted(WEIGHTS[how]))) == (4 * CORE, 4 * CORE + 4 * LINEAR)


def test_parametrized_weights_are_weights() -> None:
    def make(wrap: Callable[..., nn.Module]) -> Callable[[], nn.Module]:
        def layer() -> nn.Module:
            module = Layer()
            module.qkv = wrap(module.qkv)  # type: ignore[assignment]
            return module

        return layer

    assert counted(make(parametrizations.weight_norm)) == (3 * CORE, 3 * (CORE + REST))
    core, total = counted(make(parametrizations.spectral_norm))  # estimates the norm by products of the weight
    assert core == 3 * CORE
    assert total is not None
    assert total > 3 * (CORE + REST)


class Twice(nn.Module):
    """One weight that projects twice, and an input that is projected twice."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Linear(D, D, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y = self.w(self.w(x))
        return y @ self.w(x).transpose(1, 2) @ y


def test_a_weight_that_is_used_twice_is_still_one() -> None:
    assert counted(Twice) == (3 * CORE, 3 * CORE + 9 * LINEAR)
    assert counted(lambda: Checked(Twice())) == (4 * CORE, 4 * CORE + 12 * LINEAR)


class Inside(nn.Module):
    """The gradients of a layer's parameters, taken inside its forward by `torch.func.grad`."""

    def __init__(self, change: Callable[[Tensor], Tensor] = lambda w: w) -> None:
        super().__init__()
        self.layer, self.change = Layer(), change

    def forward(self, x: Tensor) -> Tensor:
        weights = {name: self.change(w) for name, w in self.layer.named_parameters()}

        def loss(weights: dict[str, Tensor]) -> Tensor:
            return torch.func.functional_call(self.layer, weights, (x,)).square().sum()

        return torch.func.grad(loss)(weights)["qkv.weight"]


@pytest.mark.parametrize(
    "change", [lambda w: w, lambda w: w * 0.9, lambda w: w.clone()], ids=["leaf", "scaled", "copy"]
)
def test_gradients_of_functional_weights_are_the_projections(change: Callable[[Tensor], Tensor]) -> None:
    # The input asks for no gradient, so the first projection has one gradient, its weight's.
    assert counted(lambda: Inside(change), Pass.FORWARD) == (3 * CORE, 3 * CORE + 3 * REST - 3 * LINEAR)


def test_transforms_do_not_hide_a_parameter() -> None:
    mapped = lambda run, x: torch.vmap(lambda row: run(row[None])[0])(x)  # noqa: E731
    assert counted(lambda: Layer(mapped)) == (3 * CORE, 3 * (CORE + REST))


class Biased(nn.Module):
    """Scores with a learned bias, added in the product or given to the fused kernel as a mask."""

    def __init__(self, fused: bool) -> None:
        super().__init__()
        self.fused, self.table = fused, nn.Parameter(torch.randn(2 * N))
        self.register_buffer("places", torch.arange(N)[:, None] - torch.arange(N) + N)

    def forward(self, x: Tensor) -> Tensor:
        bias = self.table[self.places]
        if self.fused:
            return F.scaled_dot_product_attention(x[:, None], x[:, None], x[:, None], attn_mask=bias)
        return torch.baddbmm(bias.expand(B, N, N), x, x.transpose(1, 2)).softmax(-1) @ x


def test_a_bias_is_no_factor() -> None:
    assert counted(lambda: Biased(False)) == (3 * CORE, 3 * CORE)
    assert counted(lambda: Biased(True), Pass.FORWARD) == (CORE, CORE)
