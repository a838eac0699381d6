"""Which axis is which: nobody's word is taken for it. Expected products by hand, 4 n^2 D for the core of n tokens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from attnprof.counting.counted import count
from attnprof.errors import AttnprofError
from attnprof.graph.analysis import Request, analyze
from attnprof.shapes import Shape
from attnprof.targets import door
from attnprof.targets.usage import Usage
from attnprof.usercode import UserCode
from attnprof.words import Layout, Pass

OWN = Path(__file__).parents[2] / "fakes" / "user_code.py"
ENCODER = "torch.nn:TransformerEncoderLayer"
N, WIDTH = 128, 512
SMALL = Shape(64, dim=64, heads=4)


def found(text: str, layout: Layout | None = None, **arguments: Any) -> UserCode:
    target = door.find(text if ":" in text else f"{OWN}:{text}", usage=Usage(arguments=arguments, layout=layout))
    assert isinstance(target, UserCode)
    return target


def test_the_default_encoder_layer_of_torch_reads_the_sequence_first() -> None:
    counted = count(found(ENCODER, d_model=WIDTH, nhead=8), Shape(N, dim=WIDTH), Pass.FORWARD)
    assert counted.cost.flops_core_executed == 4 * N**2 * WIDTH == 33_554_432
    assert "layout:nbd" in counted.flags


@pytest.mark.parametrize("first", [True, False], ids=["batch first", "sequence first"])
def test_an_encoder_layer_costs_the_same_in_either_layout(first: bool) -> None:
    target = found(ENCODER, d_model=64, nhead=4, batch_first=first)
    counted = count(target, Shape(N, batch=2, dim=64), Pass.FORWARD)
    assert counted.cost.flops_core_executed == 2 * 4 * N**2 * 64
    assert ("layout:nbd" in counted.flags) is not first


@pytest.mark.parametrize("pass_", [Pass.FORWARD, Pass.TRAIN])
def test_reading_the_sequence_first_adds_no_bytes(pass_: Pass) -> None:
    costs = [
        count(found(ENCODER, d_model=64, nhead=4, batch_first=first), Shape(64, batch=2, dim=64), pass_).cost
        for first in (True, False)
    ]
    assert costs[0].flops_executed == costs[1].flops_executed
    assert costs[0].param_bytes == costs[1].param_bytes
    assert (costs[1].saved_bytes or 0) <= (costs[1].peak_bytes or 0)


@pytest.mark.parametrize("name", ["attend", "attend_bnhd"])
def test_a_function_on_heads_is_given_its_own_layout(name: str) -> None:
    counted = count(found(name), Shape(N, dim=WIDTH, batch=2), Pass.FORWARD)
    assert counted.cost.flops_core_executed == 2 * 4 * N**2 * WIDTH
    assert ("layout:bnhd" in counted.flags) is (name == "attend_bnhd")


def test_queries_keys_and_values_of_a_module_are_rows() -> None:
    target = found("torch.nn:MultiheadAttention", embed_dim=64, num_heads=4)
    cost = count(target, SMALL, Pass.FORWARD).cost
    assert cost.flops_executed == 2 * 64 * 64 * 64 * 4 + 4 * 64**2 * 64  # four projections, two products of scores


def test_a_recurrence_shows_its_order_and_that_it_is_causal() -> None:
    seen = found("torch.nn:GRU", input_size=16, hidden_size=8).mixing(Shape(32, dim=16, heads=2))
    assert (seen.layout, seen.tokens, seen.causal) == (Layout.NBD, True, True)


@pytest.mark.parametrize(("name", "causal"), [("Plain", False), ("Causal", True)])
def test_causality_is_seen_not_asked(name: str, causal: bool) -> None:
    assert found(name).mixing(SMALL).causal is causal


def test_tokens_that_never_mix_are_said() -> None:
    counted = count(found("torch.nn:Linear", in_features=64, out_features=64), SMALL, Pass.FORWARD)
    assert "tokens_never_mix" in counted.flags
    assert not {"causal_seen", "bidirectional_seen"} & set(counted.flags)


@pytest.mark.parametrize(
    ("name", "flag"), [("Normed", "batch_mixes_in_training"), ("Capacity", "batch_mixes"), ("Plain", None)]
)
def test_sequences_of_a_batch_that_see_each_other_are_said(name: str, flag: str | None) -> None:
    flags = [f for f in count(found(name), SMALL, Pass.TRAIN).flags if f.startswith("batch")]
    assert flags == ([flag] if flag else [])


@pytest.mark.parametrize("ask", [Pass.FORWARD, Pass.TRAIN])
@pytest.mark.parametrize("name", ["talking", "SaysOtherwise"])
def test_a_layout_that_cannot_be_known_is_refused(name: str, ask: Pass) -> None:
    with pytest.raises(AttnprofError, match="layout") as caught:
        count(found(name), SMALL, ask)
    assert "--layout" in caught.value.hint


def test_a_layout_that_is_said_is_taken() -> None:
    assert count(found("talking", Layout.BHND), SMALL, Pass.FORWARD).cost.flops_executed == 4 * 64**2 * 64
    transposed = count(found("talking", Layout.BNHD), SMALL, Pass.FORWARD).cost.flops_executed
    assert transposed == 4 * 4**2 * 64 * 16  # 64 "heads" of 4 tokens, 16 wide


def test_a_layout_of_heads_is_refused_for_rows() -> None:
    with pytest.raises(AttnprofError, match="takes x") as caught:
        count(found("Plain", Layout.BNHD), SMALL, Pass.FORWARD)
    assert "bnd or nbd" in caught.value.hint


def test_the_random_numbers_of_the_caller_stay_as_they_were() -> None:
    target = found("Plain")
    before = torch.get_rng_state()
    target.mixing(SMALL)
    assert bool((torch.get_rng_state() == before).all())


@pytest.mark.parametrize("first", [True, False], ids=["batch first", "sequence first"])
def test_a_graph_of_attention_is_all_pairs_by_gradient(first: bool) -> None:
    target = found(ENCODER, d_model=32, nhead=4, batch_first=first)
    facts = analyze(target, Request(n=24, heads=4, dim=32, trials=2, side=0)).facts
    assert facts["edges"] == 24**2
    assert (facts["probe"]["value_edges"], facts["probe"]["selection_edges"]) == (24**2, 0)


def test_a_graph_of_a_module_that_mixes_the_batch_has_no_edges_of_other_copies() -> None:
    from attnprof.graph.probe import recover

    class Across(torch.nn.Module):
        """Each token reads itself, and what the same place holds in the other sequences."""

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + x.roll(1, 0) * x.roll(1, 1).mean() if x.shape[0] > 1 else x

    seen = recover(Across(), lambda: [torch.randn(1, 12, 4)], 1, 2)
    assert (seen.value | seen.selection).tolist() == np.eye(12, dtype=bool).tolist()
