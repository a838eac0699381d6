"""What was asked of the future, and what is found: counted against whole masks."""

from __future__ import annotations

import numpy as np
import pytest

from attnprof.graph.analysis import Request, analyze
from attnprof.graph.blocked import BlockConstant
from attnprof.graph.causality import Seen, causality
from attnprof.graph.layered import LayeredRelation, layer_of
from attnprof.graph.relation import FutureEdges
from attnprof.graph.token_edges import TokenEdges
from attnprof.pattern import Band, Dense, Pattern, Slices, Slots
from attnprof.targets import catalog, door


def test_edges_ahead_are_those_above_the_diagonal() -> None:
    rng = np.random.default_rng(0)
    for n in (1, 2, 9, 40):
        row, start, step = rng.integers(0, n, 30), rng.integers(0, n, 30), rng.integers(1, 5, 30)
        slices = Slices.of(n, row, start, np.minimum(start + rng.integers(1, n + 1, 30), n), step).disjoint()
        later = np.argwhere(np.triu(slices.dense(), 1)).tolist()
        found = TokenEdges(slices).future()
        assert found.count == len(later)
        assert all(list(pair) in later for pair in found.first)
        assert bool(found.first) == bool(later)


def test_a_slot_that_has_read_a_later_token_is_a_way_to_the_future() -> None:
    """Slot 0 reads tokens 0 to 4, and tokens 2 to 9 read it: queries 2 and 3 see token 4, the others nothing newer."""
    reads, writes = Slices.of(1, [0], [0], [5], 1, 10), Slices.of(10, np.arange(2, 10), 0, 1, 1, 1)
    part = layer_of(Pattern("slots", 10, True, lambda layer, head: Slots(1, reads, writes)), 0)
    assert part.future() == FutureEdges(2, ((2, 4), (3, 4)))


def test_a_leak_names_its_layer_and_changes_what_shares_are_of() -> None:
    layers = [Band(2, 0), Band(1, 1)]
    stack = LayeredRelation.of(Pattern("two", 6, True, lambda layer, head: layers[layer], 2))
    found = causality(stack, Seen(True))
    assert found["leak"]["layers"] == [{"layer": 2, "edges": 5, "first": [[k, k + 1] for k in range(5)]}]
    assert "5 edges of layer 2 read the future, first 0 reads 1" in found["leak"]["text"]
    assert (found["causal_asked"], found["causal_found"], found["causal"]) == (True, False, False)
    assert (found["pairs"], found["pairs_of"], found["future_edges"]) == (36, "all", 5)


@pytest.mark.parametrize(
    ("mask", "asked", "found"),
    [
        (Band(1, 0), None, "asked: not given; found: causal, no edge to the future"),
        (Band(1, 0), False, "asked: bidirectional; found: causal, no edge to the future"),
        (Band(1, 1), None, "asked: not given; found: bidirectional"),
        (Band(0, 0), None, "asked: not given; found: no edge between different tokens"),
    ],
)
def test_what_is_found_does_not_rest_on_what_was_asked(mask: Band, asked: bool | None, found: str) -> None:
    stack = LayeredRelation.of(Pattern("one", 8, bool(asked), lambda layer, head: mask))
    assert causality(stack, Seen(asked))["causality"] == found


def test_tiles_that_may_hide_the_future_are_neither_clean_nor_a_leak() -> None:
    """Four tiles of four tokens: those below the diagonal are full, those on it partial, taken as full."""
    below = Slices.of(8, np.arange(4, 8), 0, 4)
    every = below.joined(Slices.of(8, np.arange(8), np.arange(8) // 4 * 4, np.arange(8) // 4 * 4 + 4)).disjoint()
    found = causality(LayeredRelation.single(every, declared=True), Seen(True, sure=below))
    assert (found["leak"], found["causal_found"], found["future_edges"]) == (None, None, None)
    assert "not known" in found["causality"]
    leaking = causality(LayeredRelation.single(every, declared=True), Seen(True, sure=Slices.of(8, [0], [4], [8])))
    assert leaking["leak"]["layers"] == [{"layer": 1, "edges": 4, "first": [[0, 4], [0, 5], [0, 6], [0, 7]]}]


@pytest.mark.parametrize("name", [name for name in catalog.names() if catalog.entry(name).card.leaks])
def test_a_leak_by_choice_is_told_beside_edges_that_do_not_leak(name: str) -> None:
    found = analyze(door.find(name), Request(n=64, seeds=0, layers=1, side=0, causal=True)).facts
    assert found["leak"] is None
    assert found["leaks_by_design"] == list(catalog.entry(name).card.leaks)


def test_a_complete_mask_leaks_every_pair_above_the_diagonal() -> None:
    assert LayeredRelation.of(Pattern("all", 12, True, lambda layer, head: Dense())).parts[0].future().count == 66


@pytest.mark.parametrize("size", [2, 4, 8])
def test_the_future_on_blocks_is_that_of_their_tokens(size: int) -> None:
    rng = np.random.default_rng(size)
    for _ in range(20):
        blocks = Slices.from_pairs(64 // size, rng.integers(0, 64 // size, 6), rng.integers(0, 64 // size, 6))
        for cut in (False, True):
            part = BlockConstant(size, blocks.past() if cut else blocks, cut)
            assert part.future() == TokenEdges(part.tokens()).future()
            assert part.reads_future == (part.future().count > 0)
