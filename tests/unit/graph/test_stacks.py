"""Stacks as graphs: the figures of public models, and brute force over boolean matrices for all else."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import attnprof
from attnprof.errors import AttnprofError
from attnprof.graph.differing import differences
from attnprof.graph.horizon import horizons
from attnprof.graph.layered import LayeredRelation
from attnprof.graph.offsets import offsets
from attnprof.graph.stack_facts import period_of
from attnprof.shapes import Shape
from attnprof.targets.stack import stack

N = 150
TEXTS = (
    "2 sliding_window window=5 + 1 sinks window=3 sinks=2 ; layers=4",
    "3 block_local block=16 + 1 dense",
    "1 dilated_window window=8 dilation=3 + 1 sparse_strided stride=7 ; layers=5",
    "2 bigbird block=10 random_blocks=1 + 1 sliding_window window=6",
    "1 swin window=2 + 1 sliding_window window=2",
)


def relation(text: str, n: int = N, causal: bool | None = None) -> LayeredRelation:
    target = stack(text)
    return LayeredRelation.of(target.graph(Shape(n=n, causal=target.card.native_causal if causal is None else causal)))


def reached(text: str, layers: int, n: int = N, causal: bool | None = None) -> np.ndarray:
    """By products of boolean matrices, from each layer's own dense mask."""
    target = stack(text)
    shape = Shape(n=n, causal=target.card.native_causal if causal is None else causal)
    pattern = target.graph(shape)
    found = np.eye(n, dtype=bool)
    for layer in range(layers):
        mask = np.eye(n, dtype=bool)
        for head in range(pattern.heads):
            mask |= pattern.dense(layer, head)
        found = (mask.astype(np.int64) @ found.astype(np.int64)) > 0
    return found


@pytest.mark.parametrize("text", TEXTS)
def test_distances_and_borders_are_those_of_brute_force(text: str) -> None:
    n = 144
    layered = relation(text, n)
    found, whole = offsets(layered, (1, 2, 3))
    assert whole
    i, j = np.indices((n, n))
    allowed = (j <= i) if layered.causal else np.ones((n, n), dtype=bool)
    for entry in found:
        pairs = reached(text, entry.layer, n)
        shares = np.asarray([pairs[allowed & (abs(i - j) == d)].mean() for d in range(n)])
        missing = np.flatnonzero(shares < 1)
        assert entry.every_to == (missing[0] - 1 if len(missing) else n - 1)
        assert entry.some_to == np.flatnonzero(shares > 0)[-1]
        assert entry.unreached == (shares[: entry.some_to] == 0).sum()
        assert entry.partly == ((shares > 0) & (shares < 1)).sum()
        apart = [(k + 1, k) for k in range(n - 1) if not pairs[k + 1, k]]
        assert entry.borders == len(apart)
        assert list(entry.named) == apart[:3]
        for low, high, share in entry.shares:
            between = allowed & (abs(i - j) >= low) & (abs(i - j) <= high)
            assert share == pytest.approx(pairs[between].mean())


def test_the_difference_of_two_is_that_of_brute_force() -> None:
    one, other = TEXTS[0], "1 sliding_window window=9 + 1 sliding_window window=2"
    found, whole = differences(relation(one, causal=True), relation(other, causal=True), (4, 2), 4)
    assert whole
    for entry in found:
        mine, theirs = reached(one, entry.layer, causal=True), reached(other, min(entry.layer, 2), causal=True)
        assert entry.only_first == (mine & ~theirs).sum()
        assert entry.only_second == (theirs & ~mine).sum()
        assert all(mine[pair] and not theirs[pair] for pair in entry.first_named)
        assert all(theirs[pair] and not mine[pair] for pair in entry.second_named)
    with pytest.raises(AttnprofError, match="--n of both"):
        differences(relation(one), relation(other, 64), (None, None), 2)


@pytest.mark.parametrize("layers", [1, 4])
@pytest.mark.parametrize("residual", [0.0, 0.5])
def test_the_horizon_of_a_window_is_a_sum_of_draws_from_it(layers: int, residual: float) -> None:
    """Far from the start a layer draws a lag evenly from the window, or stays: lags of layers add up independently."""
    n, w = 400, 20
    step = np.zeros(w)
    step += (1 - residual) / w
    step[0] += residual
    lags = np.ones(1)
    for _ in range(layers):
        lags = np.convolve(lags, step)
    beyond = 1 - np.cumsum(lags)
    found = horizons(relation(f"4 sliding_window window={w}", n, causal=True), layers, (residual,))
    assert [each.distance for each in found] == [int(np.argmax(beyond < share)) for share in (0.1, 0.01)]
    assert all(each.output == n - 1 for each in found)


def analysed(text: str, n: int, **options: Any) -> Any:
    return attnprof.analyze(text, n, causal=True, seeds=0, side=0, **options)


@pytest.mark.parametrize(
    ("text", "n", "figures"),
    [
        ("5 sliding_window window=1024 + 1 dense ; layers=14", 8192, {1: 1024, 5: 5116, 6: 8192, 14: 8192}),  # Gemma 3
        ("1 sliding_window window=128 + 1 dense ; layers=4", 4096, {1: 128, 2: 4096, 4: 4096}),  # GPT-OSS
        ("3 block_local block=8192 + 1 dense ; layers=8", 16384, {1: 8192, 3: 8192, 4: 16384}),  # Llama 4
    ],
)
def test_reach_of_public_models(text: str, n: int, figures: dict[int, int]) -> None:
    facts = analysed(text, n)
    layers = facts["stack"]["layers"]
    assert {layer: layers[layer - 1]["max"] for layer in figures} == figures
    assert facts["layers_to_full"] == next(layer for layer, most in figures.items() if most == n)


def test_a_cut_period_is_told() -> None:
    assert analysed("2 sliding_window window=8 + 1 dense ; layers=8", 64)["stack"]["period"] == {
        "size": 3,
        "whole": 2,
        "cut": 2,
    }
    assert period_of("aab") == {"size": 3, "whole": 1, "cut": 0}
    assert period_of("aaaa") == {"size": 1, "whole": 4, "cut": 0}
    assert period_of("abab") == {"size": 2, "whole": 2, "cut": 0}


def test_a_stack_has_no_more_layers_than_it_has() -> None:
    facts = analysed("2 sliding_window window=4", 64)
    assert facts["layers_to_full"] is None
    assert [entry["layer"] for entry in facts["reach"]] == [1, 2]
    assert "not within the 2 layers" in facts["reasons"]["layers_to_full"]
    with pytest.raises(AttnprofError, match="2 layers that mix tokens, not 3"):
        analysed("2 sliding_window window=4 + 1 none ffn=plain", 64, layers=3)


def test_linear_layers_reach_all_through_a_state_of_so_many_numbers() -> None:
    layers = analysed("1 sliding_window window=4 + 1 linear heads=4 head_dim=16", 64)["stack"]["layers"]
    assert [layer["state_numbers"] for layer in layers] == [None, 4 * 16 * 16]
    assert layers[1]["share"] == 1.0


def test_random_layers_are_one_draw() -> None:
    facts = attnprof.analyze("2 bigbird block=8 + 1 sliding_window window=8", 128, seeds=0, side=0)
    assert facts["drawn"]["layers"] == 3
    assert [layer["label"] for layer in facts["stack"]["layers"]] == ["bigbird block=8"] * 2 + [
        "sliding_window window=8"
    ]


def test_two_stacks_are_compared_layer_by_layer() -> None:
    other = attnprof.target("3 sliding_window window=8 + 1 dense ; layers=12")
    found = analysed("5 sliding_window window=8 + 1 dense ; layers=12", 128, against=other)["against"]
    assert found["target"] == other.name
    only = [(entry["only_first"], entry["only_second"]) for entry in found["layers"]]
    assert [here for here, _ in only] == [0] * 12
    assert [there > 0 for _, there in only] == [False] * 3 + [True] * 2 + [False] * 7
    plain = attnprof.target("sliding_window", window=8)
    assert analysed("2 sliding_window window=8", 64, against=plain)["against"]["layers"][1]["only_second"] == 0


def test_code_among_the_layers_is_named() -> None:
    with pytest.raises(AttnprofError, match=r"the layer `torch\.nn:Identity` is code, which states no pattern"):
        analysed("1 dense + 1 torch.nn:Identity", 64)
