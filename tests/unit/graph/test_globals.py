"""Global tokens are what a pattern declares, whatever its heads come to together; bare edges have hubs by degree."""

from __future__ import annotations

import numpy as np
import pytest

from attnprof.errors import AttnprofError
from attnprof.graph.analysis import Request, analyze, without_globals
from attnprof.graph.layered import LayeredRelation
from attnprof.graph.metrics.hubs import global_tokens
from attnprof.graph.record import describe
from attnprof.graph.subject import Subject
from attnprof.pattern import (
    Band,
    BlockTable,
    Dense,
    Explicit,
    Expr,
    Global,
    KeyTable,
    Pattern,
    Slots,
    Strided,
    Summary,
)
from attnprof.targets import door
from attnprof.units import Value

N = 64


def subject(*layers: Expr, heads: tuple[Expr, ...] = (), causal: bool = False, n: int = N) -> Subject:
    if heads:
        return Subject(Pattern("given", n, causal, lambda layer, head: heads[head], heads=len(heads)))
    return Subject(Pattern("given", n, causal, lambda layer, head: layers[layer], layers=len(layers)))


@pytest.mark.parametrize(
    ("name", "params", "n", "count"),
    [
        *[("bigbird", {}, n, 128) for n in (256, 512, 768, 1024)],  # two blocks of 64
        ("bigbird", {}, 960 + 40, 64 + 40),  # the last block has 40 tokens
        ("bigbird", {"global_blocks": 0}, 1024, 0),
        ("bigbird", {"block": 16, "global_blocks": 3, "layout": "prefix"}, 512, 48),
        ("longformer", {"window": 16, "global_tokens": 3}, 256, 3),
        ("longformer", {"window": "4,4,256", "global_tokens": 5}, 256, 5),
        ("etc", {"window": 8, "global_tokens": 9}, 128, 9),
        ("star", {"global_tokens": 4}, 128, 4),
        ("sinks", {"window": 16, "sinks": 3}, 128, 3),
        ("sparse_fixed", {"stride": 16, "summary": 2}, 128, 16),  # two columns of each of eight strides
        ("sparse_fixed", {"stride": 16, "summary": 2, "combine": "alternate"}, 128, 16),
        ("sliding_window", {}, 128, 0),
        ("perceiver_ar", {"latents": 8}, 128, 0),
        ("dense", {}, 128, 0),
        ("nsa", {}, 128, 0),
    ],
)
def test_as_many_as_the_scheme_has(name: str, params: dict[str, Value], n: int, count: int) -> None:
    facts = analyze(door.find(name, params=params), Request(n=n, seeds=0, side=0)).facts
    assert (facts["hubs"], facts["hubs_by"]) == (count, "declared")


@pytest.mark.parametrize("heads", [1, 8])
def test_taking_them_out_of_bigbird_leaves_all_other_tokens(heads: int) -> None:
    facts = analyze(door.find("bigbird"), Request(n=768, heads=heads, seeds=0, without_globals=True)).facts
    assert (facts["globals_removed"], facts["reach"][0]["max"] <= 768 - 128) == (128, True)


@pytest.mark.parametrize(
    ("expr", "causal", "expected"),
    [
        (Band(2, 2) | Global(2), False, [0, 1]),
        (Global(9, 7) | Band(1), False, [7, 8]),
        (Band(2) | Global(2, rows=False, causal=True), True, [0, 1]),
        (
            Band(2) | Global(N, N - 2, columns=False, causal=True),
            True,
            [],
        ),  # rows of the past are nothing special
        (Band(2, 2) | Global(2, columns=False), False, [0, 1]),
        ((Band(2, 2) | Global(2)).past(), True, [0, 1]),
        (Band(1, 1) + Global(1), False, [0]),
        (Summary(16, 15, 16) | Band(1, 1), False, [15, 31, 47, 63]),
        (Slots.full(N, 2, Band(1, 1) | Global(1)), False, [0]),
        (BlockTable(8, np.arange(8)[:, None], full=(3,)), False, list(range(24, 32))),
        (Strided(1) | Band(2, 2), False, []),  # all pairs, and no token that anybody named
        (KeyTable(np.zeros((N, 1), dtype=np.int64)) | Band(1, 1), False, []),
    ],
)
def test_every_way_of_naming_them(expr: Expr, causal: bool, expected: list[int]) -> None:
    found, by = global_tokens(subject(expr, causal=causal).stack)
    assert (np.flatnonzero(found).tolist(), by) == (expected, "declared")


def test_those_of_some_head_and_of_some_layer_count() -> None:
    assert global_tokens(subject(heads=(Band(1, 1), Band(1, 1) | Global(2))).stack)[0].sum() == 2
    assert global_tokens(subject(Band(1, 1), Dense(), Global(3)).stack)[0].sum() == 3


def test_bare_edges_have_hubs_by_degree() -> None:
    slices = (Band(1, 1) | Global(2)).slices(N)
    assert global_tokens(subject(Explicit(slices)).stack)[1] == "degree"
    assert describe(subject(Explicit(slices)), "x")["hubs_by"] == "degree"
    found, by = global_tokens(LayeredRelation.single(slices))
    assert (np.flatnonzero(found).tolist(), by) == ([0, 1], "degree")


def test_slots_stay_when_globals_go() -> None:
    """Ten tokens are left of twelve; each of three slots reads and is read by all of them."""
    rest, count = without_globals(subject(Slots.full(12, 3, Band(1, 1) | Global(2)), n=12))
    facts = describe(rest, "rest")
    assert (count, facts["n"], facts["edges"]) == (2, 10, 3 * 10 - 2)
    assert (facts["slots"][0]["reads"], facts["slots"][0]["writes"]) == (30, 30)
    assert facts["layers_to_full"] == 1
    assert describe(subject(Slots.full(12, 3, Band(1, 1) | Global(2)), n=12), "x")["without_globals"]["n"] == 10


def test_heads_that_shared_a_pattern_still_do() -> None:
    rest, _ = without_globals(subject(Band(2, 2) | Global(1), Band(2, 2) | Global(1), Band(1, 1)))
    assert [kind.layers for kind in rest.layer_kinds] in ([(1,), (2,), (3,)], [(1, 2), (3,)])
    one = Band(2, 2) | Global(1)
    rest, _ = without_globals(subject(one, one, Band(1, 1)))
    assert [kind.layers for kind in rest.layer_kinds] == [(1, 2), (3,)]


def test_where_all_are_global_none_can_be_taken_out() -> None:
    facts = describe(subject(Global(N)), "all")
    assert (facts["hubs"], facts["without_globals"]) == (N, None)
    assert facts["reasons"]["without_globals"] == "every token is global"
    with pytest.raises(AttnprofError, match="all 64 tokens"):
        without_globals(subject(Global(N)))
