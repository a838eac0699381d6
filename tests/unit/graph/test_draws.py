"""Random patterns: drawn anew in every layer, never called unreachable, with an honest spread over seeds."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from attnprof.graph.analysis import HALF, Request, analyze, selecting_n
from attnprof.graph.draws import is_random, later_seed, redrawn, spread_of
from attnprof.graph.selection import clipped, reads_all
from attnprof.graph.subject import Subject
from attnprof.pattern import Kernel
from attnprof.pattern.param import accepted
from attnprof.shapes import Shape
from attnprof.targets import catalog, door
from attnprof.targets.scheme import CatalogTarget
from attnprof.units import format_share
from tests.laws.cases import small

RANDOM = [name for name in catalog.names() if is_random(door.find(name))]
SELECTING = [name for name in catalog.names() if catalog.entry(name).card.data_dependent]


def facts(target: Any, **options: Any) -> dict[str, Any]:
    return analyze(target, Request(side=0, **options)).facts


def write(folder: Path, text: str) -> Any:
    path = folder / "drawn.py"
    path.write_text(f"import numpy as np\nfrom attnprof.pattern import Band, KeyTable\n\n{text}")
    return door.find(str(path))


@pytest.mark.parametrize(("name", "full"), [("sinkhorn", 5), ("reformer", 5)])
def test_reach_is_that_of_the_scheme_with_its_own_draw_in_every_layer(name: str, full: int) -> None:
    """By products of whole masks, each asked of the pattern file itself by its layer."""
    n, entry = 512, catalog.entry(name)
    causal = entry.card.native_causal
    reached, shares = np.eye(n, dtype=np.float32), []
    pairs = n * (n + 1) // 2 if causal else n * n
    assert entry.draw is not None
    target = CatalogTarget.of(entry, {}, None)
    for layer in range(full):
        asked = accepted(entry.draw, causal=causal, layer=layer, head=0, seed=0, head_dim=64, **target.resolve(n))
        mask = entry.draw(n, **asked).slices(n).dense() | np.eye(n, dtype=np.bool_)
        reached = (mask.astype(np.float32) @ reached > 0).astype(np.float32)
        shares.append(float(reached.sum()) / pairs)
    found = facts(door.find(name), n=n, seeds=0)
    assert [entry["share"] for entry in found["reach"]] == pytest.approx(shares)
    assert (shares[-1], found["layers_to_full"]) == (1.0, full)
    if name == "sinkhorn":  # what a reviewer counted by hand
        assert shares == pytest.approx([0.234, 0.438, 0.719, 0.906, 1.0], abs=0.0006)
        assert found["components"] == 1


@pytest.mark.parametrize("name", RANDOM)
def test_no_draw_is_said_to_hold_of_all(name: str) -> None:
    target = door.find(name, params=small(name))
    found = facts(target, n=64, heads=2, dim=16, seeds=3, layers=2)
    assert found["drawn"] == found["drawn"] | {"seed": 0, "layers": 2}
    told = json.dumps([found["reasons"], found["causality"]])
    assert "never" not in told
    assert "at any depth" not in told
    if found["layers_to_full"] is None:
        assert "in this draw" in found["reasons"]["layers_to_full"]
    assert not (found["without_globals"] or {}).get("closed", False) or found["without_globals"]["layers_to_full"]


# Sizes at which 128 tokens leave something to choose.
CHOOSING = {
    "clusterformer": {"window": 32, "stride": 24, "clusters": 8},
    "clustered": {"clusters": 8, "topk": 4},
    "dsa": {"topk": 16},
    "moba": {"block": 16, "topk": 3},
    "nsa": {"window": 8, "block": 16, "selected": 4, "compress": 8, "stride": 8},
}


@pytest.mark.parametrize("name", RANDOM)
def test_every_layer_of_a_random_scheme_has_a_draw_of_its_own(name: str) -> None:
    target = door.find(name, params=CHOOSING.get(name) or small(name))
    kinds = target.layers
    pattern = redrawn(target, Shape(n=128, causal=target.card.native_causal, heads=2, dim=16), 4 * kinds)
    if isinstance(pattern.expr(), Kernel):
        pytest.skip("a kernel reads all: its draw is of weights")
    subject = Subject(pattern)
    found = [subject.relation(layer) for layer in range(4 * kinds)]
    masks = [each.tokens() for each in found]
    drawn = [{mask.dense().tobytes() for mask in masks[kind::kinds]} for kind in range(kinds)]
    assert max(map(len, drawn)) == 4


ONE_SEED = """
def pattern(n, *, seed=0):
    draw = np.random.default_rng(seed)
    return KeyTable(draw.integers(0, n, (n, 2))) | Band(0)
"""
TWO_KINDS = """
def layers():
    return 2

def pattern(n, *, layer=0, seed=0):
    return [Band(1, 1), KeyTable(np.random.default_rng(seed).integers(0, n, (n, 1)))][layer]
"""


@pytest.mark.parametrize("text", [ONE_SEED, TWO_KINDS])
def test_a_users_random_pattern_is_drawn_anew_too(tmp_path: Path, text: str) -> None:
    target = write(tmp_path, text)
    pattern = redrawn(target, Shape(n=64, heads=1, dim=8, seed=4), 6)
    drawn = [pattern.slices(layer).dense().tobytes() for layer in range(6)]
    assert len(set(drawn)) == (6 if text is ONE_SEED else 4)
    assert drawn[0] == target.graph(Shape(n=64, heads=1, dim=8, seed=4)).slices().dense().tobytes()
    found = facts(target, n=64, seeds=6)
    assert set(found["random"]) == {"drawn at random"}
    assert found["drawn"]["from"] == "a seed"


def test_a_pattern_without_a_seed_may_be_unreachable_for_good(tmp_path: Path) -> None:
    target = write(tmp_path, "def pattern(n):\n    return Band(1, 1, 2)\n")
    found = facts(target, n=33)
    assert "never" in found["reasons"]["layers_to_full"]
    assert found["drawn"] is None


def test_blocks_of_which_none_is_random_are_not_drawn() -> None:
    """A window of 3 blocks over 16: 15 layers, and 64 such blocks would take 63, however few draws there were."""
    target = door.find("bigbird", params={"random_blocks": 0, "global_blocks": 0, "block": 4})
    found = facts(target, n=64)
    assert (found["drawn"], found["random"], found["layers_to_full"]) == (None, None, 15)


@pytest.mark.parametrize("seeds", [1, 5, 6, 40])
def test_as_many_seeds_are_drawn_as_are_asked_for(tmp_path: Path, seeds: int) -> None:
    heard = []
    target = write(tmp_path, ONE_SEED)
    request = Request(n=48, seeds=seeds, side=0)
    found = analyze(target, request, lambda what, done, total: heard.append((done, total))).facts
    assert found["over_seeds"]["seeds"] == found["random"]["drawn at random"]["seeds"] == seeds
    assert heard == [(done, seeds) for done in range(seeds)]
    edges = found["over_seeds"]["edges"]
    assert (edges["low"] is None) == (seeds < 6)
    assert edges["min"] <= edges["median"] <= edges["max"]


def test_a_default_of_seeds_is_told(tmp_path: Path) -> None:
    found = facts(write(tmp_path, ONE_SEED), n=48)
    assert found["over_seeds"]["seeds"] == 12
    assert found["over_seeds"]["asked"] is None


def test_the_spread_of_draws_some_of_which_have_no_value() -> None:
    values = [5, None, 7, 6, None, 8, 5]
    assert spread_of(values) == {"min": 5, "median": 7, "max": None, "low": 5, "high": None, "missing": 2}
    assert spread_of([None, None]) is None


def test_seeds_of_repetitions_are_far_apart() -> None:
    assert len({later_seed(seed, turn) for seed in range(-3, 40) for turn in range(1, 40)}) == 43 * 39


@pytest.mark.parametrize("name", SELECTING)
def test_a_selection_at_the_default_length_selects_for_half_of_the_queries(name: str) -> None:
    target = door.find(name)
    card = target.card
    shape = Shape(n=card.paper_n or 4096, causal=card.native_causal, heads=8, dim=512)
    n = selecting_n(target, shape)
    assert n <= min(shape.n, 8192)
    one = redrawn(target, shape.replace(n=n, heads=1, dim=64), 1)
    assert reads_all(Subject(one)) <= HALF


@pytest.mark.parametrize(
    ("name", "params", "n", "whole"),
    [
        ("dsa", {"topk": 64}, 64, 1.0),  # the best 64 of at most 64
        ("dsa", {"topk": 64}, 128, 0.5),  # rows 0 to 63 read all
        ("moba", {"block": 32, "topk": 3}, 96, 1.0),  # three blocks, of which three are read
        ("moba", {"block": 32, "topk": 3}, 192, 0.5),  # the first three of six blocks
    ],
)
def test_how_many_queries_select_nothing(name: str, params: dict[str, Any], n: int, whole: float) -> None:
    found = facts(door.find(name, params=params), n=n, seeds=0, layers=2, heads=2, dim=16)
    assert found["selection"] == {"queries_reading_all": whole, "whole": whole == 1.0}


def test_what_a_length_clips_is_named() -> None:
    found = facts(door.find("dsa"), n=256, seeds=0, layers=1)
    assert found["clipped"] == {"topk": {"asked": 2048, "used": 256}}
    assert clipped({"window": None, "heads": 8, "of": "1,2"}, {"window": 3, "heads": 8}) == {}


@pytest.mark.parametrize(
    ("share", "text"),
    [(1.0, "100.00%"), (0.99999, ">99.99%"), (0.0, "0.00%"), (1e-7, "<0.01%"), (0.5, "50.00%")],
)
def test_a_share_is_not_rounded_to_all_or_nothing(share: float, text: str) -> None:
    assert format_share(share) == text


def test_a_request_keeps_its_defaults() -> None:
    assert dataclasses.asdict(Request())["seeds"] is None
