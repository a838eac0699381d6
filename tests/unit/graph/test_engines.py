from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest

from attnprof.errors import AttnprofError
from attnprof.graph.ladder import ENGINES, solve
from attnprof.graph.layered import LayeredRelation
from attnprof.graph.reach import Reach, ReachRequest
from attnprof.pattern import Band, Global
from tests.unit.graph.zoo import brute_hops, stack_of, zoo

EXACT = [engine for engine in ENGINES if engine.name != "sampled"]
NAMES = list(zoo(64))
LENGTHS = (37, 64, 128, 200)

hops_of = lru_cache(maxsize=None)(lambda name, n: brute_hops(stack_of(name, n)))


def answers(name: str, n: int, ask: ReachRequest) -> dict[str, Reach]:
    stack = stack_of(name, n)
    found = {engine.name: engine.run(stack, ask) for engine in EXACT}
    return {engine: reach for engine, reach in found.items() if reach is not None}


@pytest.mark.parametrize("n", LENGTHS)
@pytest.mark.parametrize("name", NAMES)
def test_every_engine_that_answers_equals_brute_force(name: str, n: int) -> None:
    hops = hops_of(name, n)
    found = answers(name, n, ReachRequest())
    assert {"slices", "csr"} <= set(found)
    for engine, reach in found.items():
        assert reach.histogram.tolist() == np.bincount(hops[hops >= 0]).tolist(), engine
        assert reach.farthest_out.tolist() == hops.max(axis=1).tolist(), engine
        assert reach.farthest_in.tolist() == hops.max(axis=0).tolist(), engine
        assert reach.closed
        for entry in reach.layers:
            counts = ((hops >= 0) & (hops <= entry.layer)).sum(axis=1)
            assert (entry.min, entry.max) == (counts.min(), counts.max()), engine
            assert entry.mean == pytest.approx(counts.mean())
            assert entry.quantiles[2] == pytest.approx(np.median(counts))


@pytest.mark.parametrize("n", [37, 128])
@pytest.mark.parametrize("name", NAMES)
def test_every_pixel_of_every_engine_holds_the_exact_count(name: str, n: int) -> None:
    hops = hops_of(name, n)
    for engine, reach in answers(name, n, ReachRequest(side=16)).items():
        assert reach.grid is not None
        assert reach.images, engine
        edges = reach.grid.edges[:-1]
        for layer, image in reach.images.items():
            pairs = ((hops >= 0) & (hops <= layer)).astype(np.int64)
            expected = np.add.reduceat(np.add.reduceat(pairs, edges, axis=0), edges, axis=1)
            assert image.tolist() == expected.tolist(), (engine, layer)


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("name", NAMES)
def test_a_search_ends_at_the_asked_number_of_layers(name: str, layers: int) -> None:
    hops = hops_of(name, 64)
    counts = ((hops >= 0) & (hops <= layers)).sum(axis=1)
    for engine, reach in answers(name, 64, ReachRequest(layers=layers)).items():
        assert reach.layers[-1].layer <= layers, engine
        assert reach.layers[-1].mean == counts.mean(), engine
        assert hops.max() <= layers or not reach.closed, engine


def understood(name: str, n: int) -> set[str]:
    return set(answers(name, n, ReachRequest())) - {"slices", "csr", "intervals"}


@pytest.mark.parametrize(
    ("name", "engine"),
    [
        ("dense", "closed"),
        ("dense-causal", "closed"),
        ("window", "closed"),
        ("dilated", "closed"),
        ("windows-by-layer", "closed"),
        ("hub", "closed"),
        ("hub-in-the-middle", "closed"),
        ("slots", "closed"),
        ("sinks", "closed"),
        ("sinks-by-layer", "closed"),
        ("strided", "toeplitz"),
        ("strided-alternating", "toeplitz"),
        ("powers", "toeplitz"),
        ("random-blocks", "quotient"),
        ("random-blocks-causal", "quotient"),
        ("blocks-causal-look-back", "quotient"),
    ],
)
def test_an_exact_reduction_recognises_its_own(name: str, engine: str) -> None:
    assert engine in understood(name, 128)
    assert solve(stack_of(name, 128)).engine in {engine, *understood(name, 128)}


@pytest.mark.parametrize("name", ["random-keys", "offsets", "shifted-windows", "fixed", "strided-both-ways"])
def test_no_reduction_claims_a_mask_it_does_not_fit(name: str) -> None:
    assert understood(name, 128) == set()


def test_threads_do_not_change_the_answer() -> None:
    stack = LayeredRelation.single((Band(40, 40) | Global(1, rows=False)).slices(3000))
    one, four = (solve(stack, ReachRequest(side=32, threads=count), "slices") for count in (1, 4))
    assert one.histogram.tolist() == four.histogram.tolist()
    assert one.farthest_in.tolist() == four.farthest_in.tolist()
    assert all((one.images[layer] == four.images[layer]).all() for layer in one.images)


def test_intervals_give_up_on_fragments_without_filling_memory() -> None:
    stack = stack_of("random-blocks", 128)
    from attnprof.graph.engines import intervals

    assert intervals.run(stack, ReachRequest(), most=1) is None


def test_a_sample_brackets_the_truth_and_says_so() -> None:
    n = 4096
    stack = LayeredRelation.single(Band(64, 64).slices(n))
    truth, sample = solve(stack, ReachRequest(layers=5)), solve(stack, ReachRequest(layers=5), "sampled")
    assert sample.certainty == "sampled"
    assert sample.sources == 1024
    for exact, estimate in zip(truth.layers, sample.layers, strict=True):
        assert estimate.low is not None
        assert estimate.high is not None
        assert estimate.low - 0.002 <= exact.share <= estimate.high + 0.002
        assert estimate.min is None


def test_an_unknown_engine_and_a_wrong_one_are_refused_with_a_way_out() -> None:
    stack = stack_of("random-keys", 64)
    with pytest.raises(AttnprofError, match="unknown engine 'slice'") as unknown:
        solve(stack, ReachRequest(), "slice")
    assert "slices" in unknown.value.hint
    with pytest.raises(AttnprofError, match="'toeplitz' does not understand") as wrong:
        solve(stack, ReachRequest(), "toeplitz")
    assert "auto" in wrong.value.hint
