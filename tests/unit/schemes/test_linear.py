"""Linear attention: the published cost and memory, its three forms, its feature maps."""

from __future__ import annotations

import pytest
import torch

from attnprof.counting import count
from attnprof.errors import AttnprofError
from attnprof.shapes import Shape
from attnprof.targets import door


@pytest.mark.parametrize("causal", [False, True], ids=["both-ways", "causal"])
def test_the_core_costs_what_the_formula_says(causal: bool) -> None:
    n, heads, d, chunk = 1024, 4, 32, 64
    shape = Shape(n=n, dim=heads * d, heads=heads, causal=causal, level="core")
    head = 4 * n * d * d + 2 * n * d + (4 * n * chunk * d if causal else 0)
    assert count(door.find("linear"), shape, "forward").cost.flops_core_executed == heads * head


def test_backward_keeps_two_feature_maps_and_a_state() -> None:
    n, heads, d = 512, 2, 32
    shape = Shape(n=n, dim=heads * d, heads=heads, level="core")
    saved = count(door.find("linear"), shape, "train").cost.saved_bytes
    streams, features, state, mixed = 3 * n * d, 2 * n * d, d * (d + 1), n * (d + 1) + n
    assert saved == 4 * heads * (streams + features + state + mixed)


@pytest.mark.parametrize("feature", ["elu", "relu", "poly2"])
def test_chunks_of_any_size_and_the_recurrence_agree(feature: str) -> None:
    shape = Shape(n=70, batch=2, dim=16, heads=2, causal=True, level="core", dtype="float64")
    streams = door.find("linear").inputs(shape)
    results = []
    for chunk in (1, 16, 70):
        core = door.find("linear", params={"feature": feature, "chunk": chunk}).build(shape)
        results.append(core(*streams))
    torch.testing.assert_close(results[0], results[1])
    torch.testing.assert_close(results[0], results[2])
    rows, state = [], core.prefill(*(x[:, :, :0] for x in streams))  # type: ignore[operator]
    for at in range(70):
        row, state = core.step(*(x[:, :, at : at + 1] for x in streams), state)  # type: ignore[operator]
        rows.append(row)
    torch.testing.assert_close(torch.cat(rows, 2), results[0])


def test_poly2_is_the_square_of_the_product() -> None:
    shape = Shape(n=30, dim=8, heads=1, level="core", dtype="float64")
    target = door.find("linear", params={"feature": "poly2"})
    q, k, v = target.inputs(shape)
    weights = (q @ k.mT) ** 2
    torch.testing.assert_close(target.build(shape)(q, k, v), weights @ v / (weights.sum(-1, keepdim=True) + 1e-6))


def test_an_unknown_feature_map_is_named() -> None:
    with pytest.raises(AttnprofError, match="feature"):
        door.find("linear", params={"feature": "exp"}).build(Shape(n=64, causal=True))
