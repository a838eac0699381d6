"""Bounds from tiles: the truth lies between them, and they meet where the tiles hide nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from attnprof.graph.analysis import Request, analyze
from attnprof.graph.bounds import bounds
from attnprof.graph.ladder import solve
from attnprof.graph.layered import LayeredRelation
from attnprof.graph.reach import ReachRequest
from attnprof.pattern import Band, Blocks, Explicit, Expr, Global, Slices
from attnprof.targets.captured import CapturedTarget
from attnprof.targets.catalog import OWN_CARD, Entry


def tiles(slices: Slices, size: int) -> tuple[Slices, Slices]:
    """The full tiles of a mask, and the tiles with any edge, as masks of tokens."""
    mask, count = slices.dense(), slices.n // size
    inside = mask.reshape(count, size, count, size).sum((1, 3))
    kept = [np.kron(which, np.ones((size, size), dtype=np.bool_)) for which in (inside == size**2, inside > 0)]
    full, some = (Slices.from_pairs(slices.n, at[:, 0], at[:, 1]) for at in map(np.argwhere, kept))
    return full, some


def shares(slices: Slices, layers: int) -> list[float]:
    return [entry.share for entry in solve(LayeredRelation.single(slices), ReachRequest(layers)).layers]


def test_a_window_of_longformer_lies_between_its_tiles() -> None:
    window = Band(256, 256).slices(4096)
    found = bounds(*tiles(window, 64), ReachRequest(4))
    assert [at["low"] for at in found["reach"]] == pytest.approx([0.106, 0.193, 0.275, 0.353], abs=0.0006)
    assert shares(window, 4) == pytest.approx([0.121, 0.235, 0.340, 0.438], abs=0.0006)
    assert [at["high"] for at in found["reach"]] == pytest.approx([0.136, 0.248, 0.353, 0.449], abs=0.0006)


@pytest.mark.parametrize(
    "expr",
    [Band(9, 3), Band(40), Band(5) | Global(2), Blocks(16, 1)],
    ids=["window", "causal", "globals", "blocks"],
)
def test_the_truth_lies_between(expr: Expr) -> None:
    slices = expr.slices(128)
    found = bounds(*tiles(slices, 16))
    assert found["edges"]["low"] <= slices.edges <= found["edges"]["high"]
    truth = solve(LayeredRelation.single(slices), ReachRequest(len(found["reach"])))
    for at in found["reach"]:
        share = int(truth.histogram[: at["layer"] + 1].sum()) / slices.n**2
        assert at["low"] <= share <= at["high"]


def test_tiles_that_hide_nothing_meet() -> None:
    found = bounds(*tiles(Blocks(16, 1, 1).slices(128), 16))
    assert found["edges"]["low"] == found["edges"]["high"]
    assert all(at["low"] == at["high"] for at in found["reach"])
    assert found["layers_to_full"]["at_least"] == found["layers_to_full"]["at_most"] == 7


def test_what_is_not_monotone_is_left_out_with_a_reason_and_the_rest_is_called_a_bound() -> None:
    full, some = tiles(Band(9, 3).slices(128), 16)
    card = OWN_CARD
    target = CapturedTarget(Entry("mask", Path("mask.pt"), card, lambda n: Explicit(some)), sure=full)
    facts = analyze(target, Request(n=128)).facts
    assert facts["bounds"]["edges"] == {"low": full.edges, "high": some.edges}
    assert facts["exact"]["edges"] == facts["exact"]["reach"] == "bound"
    assert facts["exact"]["hubs"] == "bound"
    assert facts["clustering"] is facts["structure"] is None
    assert "inside" in facts["reasons"]["clustering"]
