"""No padding takes part: a softmax's weights sum to one over real keys, whatever is left over of a block.

A scheme whose outputs are weighted means gives exactly 1 for values of 1. Zeros that fill up a block, or keys beyond n,
would take some of the weight. References are compared at the same ragged lengths.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from attnprof.shapes import Shape
from attnprof.units import Value
from tests.laws.cases import Case, as_params, built, cases, recurrent

# One and two tokens, primes, and a token more or less than blocks of 4, 8 and 16.
RAGGED = (1, 2, 3, 7, 9, 17, 23, 31)
# Not weighted means of values, and why.
EXEMPT = {
    "linformer": "its slots are sums over all tokens by a learned matrix",
    "nsa": "three means, each times a gate",
    "pooled-pooling=conv": "its slots are convolutions of values",
    "memory_compressed": "its slots are convolutions of values",
    "hca": "a sink takes its share",
    "csa": "a sink takes its share",
    "linear": "an epsilon in the denominator, see below",
    "sink_logits": "a sink takes its share",
    "sinkhorn": "soft sorting: rows of S sum to one up to what the iterations leave, see below",
    "sortcut": "soft sorting: rows of S sum to one up to what the iterations leave, see below",
    "hyena": "its filters are no weights that sum to one",
    "axial_autoregressive": "it adds two decoders, see below",
    "differential": "its weights are a difference, and its outputs are normalised",
    "nystromformer": "rows of Z are those of a pseudo-inverse, and a filter of the values is added",
    "luna-chunk=4096-causal": "the weights of a token on the past do not add up to one",
    "long_short": "its values are normalised, so that values of 1 are 0",
    "poolingformer": "it adds both windows, see below",
    "token_learner": "gates between 0 and 1 that do not add up to one",
    "perceiver_ar-latents=16": "its rows are those of the latents alone",
    "fnet": "no weights that add up to anything",
    "funnel-both": "it adds the first block and the last, see below",
    "funnel-blocks=2": "it adds the first block and the last, see below",
    "luna-causal": "the weights of a token on the past do not add up to one",
    "cosformer": "relu can leave a row no weight at all",
    "yoso": "its outputs are scaled to unit length",
    "rfa": "estimates of weights whose sum is kept from 0: tests/unit/schemes/test_rfa.py",
}
VALUES = {
    "reformer": (1,),
    "compressive": (2, 4),
    "longformer": (2, 5),
}


def is_exempt(case: Case) -> bool:
    """Whether the case is not a mean of values."""
    if case.params.get("hard"):
        return False
    if case.name in recurrent():  # what a state gives is no mean
        return True
    return any(str(case).startswith(name) for name in EXEMPT)


def at_ones(case: Case, shape: Shape) -> Tensor:
    """What the core makes of values of 1; a learned null value is 1 too."""
    module, _, streams = built(case, shape)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if name.endswith("null"):
                parameter[1] = 1.0
        return module(
            *(torch.ones_like(x) if at in value_streams(case, streams) else x for at, x in enumerate(streams))
        )


def value_streams(case: Case, streams: tuple[Tensor, ...]) -> tuple[int, ...]:
    """Which streams are values."""
    return VALUES.get(case.name, (min(len(streams) - 1, 2),))


def reading(case: Case, shape: Shape) -> np.ndarray:
    """Rows `[heads or 1, n]` that read a key in the last layer; all of a scheme without edges, or drawn by its data."""
    target = case.target
    pattern = target.pattern(shape)
    if pattern is None or target.card.data_dependent:
        return np.ones((1, shape.n), dtype=np.bool_)
    return np.stack([pattern.slices(target.layers - 1, head).out_degree() > 0 for head in range(pattern.heads)])


@pytest.mark.parametrize("case", as_params([case for case in cases() if not is_exempt(case)]))
def test_values_of_one_give_one(case: Case) -> None:
    for n in RAGGED:
        shape = case.shape(n).replace(level="core")
        out = at_ones(case, shape)
        if case.name == "routing":  # a token that no centroid takes reads nothing
            assert ((out - 1).abs().minimum(out.abs()) < 1e-12).all()
            assert (out - 1).abs().amin() < 1e-12
            continue
        expected = torch.as_tensor(reading(case, shape), dtype=out.dtype)[..., None].expand_as(out)
        torch.testing.assert_close(out, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("case", as_params([case for case in cases() if case.impl != "masked"]))
def test_a_core_is_its_reference_at_ragged_lengths(case: Case) -> None:
    for n in (2, 9, 23):
        module, reference, streams = built(case, case.shape(n).replace(level="core"))
        torch.testing.assert_close(module(*streams), reference(*streams), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("causal", [False, True], ids=["both ways", "causal"])
@pytest.mark.parametrize("feature", ["elu", "poly2"])
def test_linear_attention_loses_what_its_epsilon_weighs(causal: bool, feature: str) -> None:
    """sum / (sum + 1e-6): with all features of q and k at 1 (elu) a row of r keys sums to 8 r, poly2 to 64 r."""
    case = Case("linear", causal, {"feature": feature})
    for n in RAGGED:
        shape = case.shape(n).replace(level="core")
        module, _, (q, _, v) = built(case, shape)
        ones = torch.zeros_like(q) if feature == "elu" else torch.ones_like(q)
        width = 8 if feature == "elu" else 64
        read = torch.arange(1, n + 1, dtype=q.dtype)[:, None] if causal else torch.full((n, 1), float(n), dtype=q.dtype)
        expected = (width * read / (width * read + 1e-6)).expand_as(v)
        torch.testing.assert_close(module(ones, ones, torch.ones_like(v)), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("case", as_params([Case("sinkhorn", False), Case("sinkhorn", True), Case("sortcut", False)]))
def test_a_soft_sorting_is_as_far_from_one_as_its_rows(case: Case) -> None:
    """Many iterations make the rows sum to one, and then nothing is left of the padding either.

    Causal, the rows cannot: a column is shared by fewer and fewer places, so only a block that reads itself alone does.
    """
    for n in RAGGED:
        for hard in (False, True):
            exact = Case(case.name, case.causal, {"iterations": 500, "hard": hard})
            out = at_ones(exact, exact.shape(n).replace(level="core"))
            if case.causal and not hard:
                assert (out[:, :, :8] - 1).abs().amax() < 1e-12
                assert out.amin() > 0
                continue
            torch.testing.assert_close(out, torch.ones_like(out), rtol=0, atol=1e-3 if not hard else 1e-12)


def test_the_two_decoders_of_axial_attention_add_a_one_each() -> None:
    """The first row of the grid has no outer decoder above it: 1 there, 2 below."""
    case = Case("axial_autoregressive", True)
    for n in RAGGED:
        out = at_ones(case, case.shape(n).replace(level="core"))
        width = case.target.resolve(n)["stride"]
        expected = 1.0 + (torch.arange(n) >= width).to(out.dtype)[:, None]
        torch.testing.assert_close(out, expected.expand_as(out), rtol=0, atol=1e-12)


TWO: list[tuple[str, dict[str, Value]]] = [
    ("funnel", {}),
    ("funnel", {"blocks": 2, "stride": 3}),
    ("poolingformer", {}),
    ("poolingformer", {"window": 8, "pooled_window": 32}),
]


@pytest.mark.parametrize(("name", "params"), TWO)
def test_two_attentions_that_are_added_give_a_one_each(name: str, params: dict[str, Value]) -> None:
    """The first and the last block of a funnel, the near and the far window of a Poolingformer."""
    case = Case(name, False, params)
    for n in RAGGED:
        out = at_ones(case, case.shape(n).replace(level="core"))
        torch.testing.assert_close(out, torch.full_like(out, 2.0), rtol=0, atol=1e-12)
