"""No length is too short for a graph: every scheme, at the paper's parameters, from one token on, without a warning."""

from __future__ import annotations

import warnings

import pytest

from attnprof.cli.graph_text import caption, lines, picture, random_lines
from attnprof.graph.analysis import Request, analyze
from attnprof.render.graph_page import section
from attnprof.targets import catalog, door

LENGTHS = (1, 2, 7, 24, 33)
CASES = [(name, causal) for name in catalog.names() for causal in catalog.entry(name).card.causality]


def graphed(name: str, causal: bool, n: int, seeds: int, drawn: bool) -> None:
    """Analysis, text and page; any warning is an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = analyze(door.find(name), Request(n=n, causal=causal, seeds=seeds, heads=2, dim=32, side=8))
        lines(found.facts)
        caption(found)
        random_lines(found.facts["random"] or {})
        if drawn:
            picture(found)
            section(found.facts, found.views(), "k")
    assert found.facts["n"] == n
    assert found.facts["reach"][-1]["share"] <= 1.0


@pytest.mark.parametrize(("name", "causal"), CASES, ids=[f"{name}-{causal}" for name, causal in CASES])
def test_a_few_lengths(name: str, causal: bool) -> None:
    for n in LENGTHS:
        graphed(name, causal, n, seeds=0, drawn=n in (1, 24))


@pytest.mark.slow
@pytest.mark.parametrize(("name", "causal"), CASES, ids=[f"{name}-{causal}" for name, causal in CASES])
def test_every_length_to_40(name: str, causal: bool) -> None:
    for n in range(1, 41):
        graphed(name, causal, n, seeds=2, drawn=True)


def test_slots_that_no_token_fills_are_none() -> None:
    """Below 32 tokens nsa has no complete compressed block, below 16 long_short no complete chunk."""
    for name, n in (("nsa", 24), ("long_short", 8)):
        facts = analyze(door.find(name), Request(n=n, causal=True, seeds=0)).facts
        assert {(slots["count"], slots["tokens_per_slot"]) for slots in facts["slots"]} == {(0, None)}
        assert facts["edges"] == n * (n + 1) // 2
