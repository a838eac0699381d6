"""What the laws over all schemes do not ask of those of the survey: ends of parameters, dead rows, learned centres."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from attnprof.counting import count
from attnprof.errors import AttnprofError
from attnprof.layers.softmax import softmax_attention
from attnprof.shapes import Shape
from attnprof.targets import door
from attnprof.units import Value

CORE = Shape(40, batch=2, dim=16, heads=2, dtype="float64", level="core")


def core_of(name: str, shape: Shape = CORE, **params: Value) -> Any:
    """The core of a scheme, from a fixed seed."""
    torch.manual_seed(0)
    return door.find(name, params=params).build(shape)


def drawn(shape: Shape = CORE) -> tuple[Tensor, Tensor, Tensor]:
    """Random q, k, v."""
    q, k, v = door.find("dense").inputs(shape)
    return q, k, v


def test_entmax_at_its_ends_is_softmax_and_sparsemax() -> None:
    q, k, v = drawn()
    torch.testing.assert_close(core_of("entmax", alpha=1.0)(q, k, v), softmax_attention(q, k, v))
    near = core_of("entmax", alpha=1.999999)(q, k, v)
    torch.testing.assert_close(core_of("entmax", alpha=2.0)(q, k, v), near, rtol=1e-4, atol=1e-4)
    with pytest.raises(AttnprofError, match="alpha is 3"):
        core_of("entmax", alpha=3.0)


@pytest.mark.parametrize("alpha", [1.05, 1.5, 1.95])
@pytest.mark.parametrize("deviation", [0.01, 1.0, 100.0])
def test_entmax_weights_of_any_scores_add_up_to_one(alpha: float, deviation: float) -> None:
    core = core_of("entmax", alpha=alpha)
    weights = core.weights(deviation * torch.randn(1, 2, 3, 5000, dtype=torch.float64))
    assert (weights >= 0).all()
    torch.testing.assert_close(weights.sum(-1), torch.ones(1, 2, 3, dtype=torch.float64))


def test_more_random_features_come_closer_to_the_softmax_of_unit_vectors() -> None:
    q, k, v = drawn()
    unit = [x / x.norm(dim=-1, keepdim=True) for x in (q, k)]
    exact = softmax_attention(unit[0] * q.shape[-1] ** 0.5, unit[1], v)
    errors = [float((core_of("rfa", features=m)(q, k, v) - exact).abs().mean()) for m in (16, 256, 8192)]
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 0.02


def test_random_features_survive_a_row_whose_weights_add_up_to_less_than_nothing() -> None:
    core, (_, _, v) = core_of("rfa", features=1), drawn()
    q = torch.tensor([1.0] + 7 * [0.0], dtype=torch.float64).expand(2, 2, 40, 8)
    with torch.no_grad():
        core.directions.copy_(torch.tensor([[torch.pi / 2] + 7 * [0.0]]))
    out = core(q, -q, v)  # unit vectors 2 apart, half a turn of the one direction: every weight is cos(pi) = -1
    torch.testing.assert_close(out, -v.sum(2, keepdim=True).expand_as(v) / 1e-2)
    torch.testing.assert_close(out, core.reference(q, -q, v))


def test_queries_between_pooled_keys_read_nothing_and_give_zero() -> None:
    shape = CORE.replace(n=10)
    core = core_of("poolingformer", shape, window=2, pooled_window=2, stride=4, kernel=2)
    q, k, v = drawn(shape)
    far = core.far(q, k, v)
    dead = [i for i in range(10) if min(abs(i - p) for p in range(0, 10, 4)) > 1]
    assert dead == [2, 6]
    assert not far[:, :, dead].any()
    torch.testing.assert_close(core(q, k, v), core.reference(q, k, v))


def test_cluster_centres_are_learned_from_a_bank_and_empty_ones_stay() -> None:
    core = core_of("clusterformer", clusters=3, window=8, stride=6).layers[1]
    bank = torch.cat([torch.zeros(5, 16), torch.ones(5, 16)]).double()
    with torch.no_grad():
        core.centres.copy_(torch.tensor([-0.1, 1.2, 50.0])[:, None].expand(3, 16))
    core.learn(bank)
    torch.testing.assert_close(core.centres, torch.tensor([0.0, 1.0, 50.0]).double()[:, None].expand(3, 16))


@pytest.mark.parametrize("variant", ["dense", "random", "factorised"])
def test_a_synthesizer_keeps_values_alone(variant: str) -> None:
    shape = Shape(64, batch=2, dim=32, heads=4, causal=True)
    cost = count(door.find("synthesizer", params={"variant": variant}), shape, "decode").cost
    assert (cost.state_bytes, cost.state_growth_bytes) == (2 * 64 * 32 * 4, 2 * 32 * 4)


def test_perceiver_ar_keeps_all_keys_of_its_first_layer_and_those_of_latents_above() -> None:
    shape = Shape(64, dim=32, heads=4, causal=True)
    cost = count(door.find("perceiver_ar", params={"latents": 16}), shape, "decode").cost
    row = 2 * 32 * 4
    assert (cost.state_bytes, cost.state_growth_bytes) == ((64 + 16) * row, row)


def test_a_long_short_state_grows_by_a_slot_a_chunk_beside_its_window() -> None:
    shape, row = Shape(64, dim=32, heads=4, causal=True), 2 * 32 * 4
    target = door.find("long_short", params={"window": 8, "chunk": 4, "chunk_rank": 1})
    found = [count(target, shape.replace(n=n), "decode").cost.state_bytes for n in (64, 67, 68)]
    assert found == [(8 + 16) * row, (8 + 16 + 3) * row, (8 + 17) * row]


def test_the_row_of_a_query_cluster_is_attention_of_its_mean_where_nothing_is_improved() -> None:
    q, k, v = drawn()
    core = core_of("clustered", clusters=1, topk=0)
    expected = softmax_attention(q.mean(2, keepdim=True), k, v).expand_as(v)
    torch.testing.assert_close(core(q, k, v), expected)


def test_clusters_as_many_as_queries_with_all_keys_improved_are_dense_attention() -> None:
    q, k, v = drawn()
    torch.testing.assert_close(core_of("clustered", clusters=4, topk=40)(q, k, v), softmax_attention(q, k, v))


def test_cosformer_beyond_its_length_weighs_below_nothing() -> None:
    """The card's warning: pairs farther apart than M have a negative cosine."""
    shape = CORE.replace(n=30)
    core = core_of("cosformer", shape, length=10)
    ones = torch.ones(2, 2, 30, 8, dtype=torch.float64)
    mixed = core.phi(ones) @ core.phi(ones).transpose(-2, -1)
    assert mixed[0, 0, 0, 29] < 0 < mixed[0, 0, 0, 9]
