"""Crafted records for every kind of error that a report could make, and the words that they give."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attnprof.quantities import WALL
from attnprof.render.claims import told
from attnprof.render.claims.choice import WITHIN, choice, evidences, standing
from attnprof.render.claims.evidence import PointState, evidence
from attnprof.render.claims.sight import graphs_of
from attnprof.render.claims.versus import versus
from attnprof.render.series import groups
from tests.fakes.crafted import (
    CLOSE,
    FLASH,
    INTERVAL,
    KNOWN,
    NS,
    cross,
    edges,
    pattern,
    point,
    said,
    sampled,
    texts,
)


def test_a_ratio_carries_its_interval_and_overlap_is_no_side() -> None:
    (group,) = groups([point("flash", 1024, wall=(1.0, 0.9, 1.2)), point("a", 1024, wall=(0.8, 0.7, 0.95))])
    a, flash = (evidence(s, WALL)[1024] for s in (group.series[1], group.series[0]))
    found = versus(a, flash)
    assert found is not None
    assert (found.outcome, found.low, found.high) == ("even", pytest.approx(0.9 / 0.95), pytest.approx(1.2 / 0.7))
    assert "not told apart" in told.word("times", found)


def test_of_single_samples_no_ratio_has_an_interval_and_no_side_is_taken() -> None:
    made = [sampled("flash", (4.0,)), sampled("a", (1.0,)), pattern("a", 2, n=1024)]
    text = said(made, 1024)
    assert "flash needs 4.00 s a layer" in text
    assert "[" not in text
    assert "none is sure to need less (1 not told apart from flash, measured in too few processes to tell)" in text
    assert "nothing here tells whether to leave flash" in text
    assert "stay with" not in text
    assert cross([made[0]], [made[1]]) == "not known"


def test_a_single_sample_is_as_sure_as_the_noise_of_its_run_makes_it() -> None:
    quiet = sampled("b", (2.0,), (2.02,), (2.01,))
    told_apart = said([sampled("flash", (4.0,)), sampled("a", (1.0,)), quiet, pattern("a", 2, n=1024)], 1024)
    assert "a needs least time: 4.0× [" in told_apart
    assert "intervals apart" in told_apart
    loud = sampled("b", (1.0,), (2.0,), (3.0,))
    assert "none is sure" in said([sampled("flash", (4.0,)), sampled("a", (1.0,)), loud, pattern("a", 2, n=1024)], 1024)


@given(INTERVAL, INTERVAL, st.booleans())
def test_less_is_said_only_of_intervals_that_are_apart(a: Any, b: Any, flag: bool) -> None:
    marks = ("noisy",) if flag else ()
    (group,) = groups([point("flash", 1024, wall=b), point("a", 1024, wall=a, flags=marks)])
    found = versus(evidence(group.series[1], WALL)[1024], evidence(group.series[0], WALL)[1024])
    assert found is not None
    assert (found.outcome == "less") == (a[2] < b[1])
    assert (found.outcome == "more") == (a[1] > b[2])
    words = told.word("doubt", found)
    assert ("flagged" in words) == flag


def test_a_headline_on_flagged_points_says_so() -> None:
    noisy = [replace(r, flags=("busy_machine", "few_samples")) for r in CLOSE]
    text = said([*FLASH, *noisy, pattern("near", 2)], 8192)
    assert "yet flagged: busy machine and 1 more" in text
    assert any("4 of 8 measured points carry a flag" in text for text in texts([*FLASH, *noisy]))


def test_a_null_of_another_counter_is_a_statement() -> None:
    made = [
        point("flash", 1024, wall=1.0, opinion={"fvcore": None}, reasons={"second_opinion": "it counts none of it"}),
        point("near", 1024, wall=1.0, opinion={"fvcore": 1024 * 1024}),
        point("far", 1024, wall=1.0, opinion={"fvcore": 1024 * 512}),
    ]
    text = next(t for t in texts(made) if "fvcore" in t)
    assert "50.0% of far at n = 1k" in text
    assert "agrees within 1% on near" in text
    assert "It gives no number for flash: it counts none of it." in text


def test_what_an_implementation_wastes_is_said_of_the_implementation() -> None:
    made = [point("strided", n, wall=1.0, impl="masked", useful=edges(n, 1), flops=edges(n, 64)) for n in NS]
    text = next(t for t in texts(made) if "Sparse in name only" in t)
    assert "strided executes 64× the core FLOPs that its edges need at n = 8k (by a masked dense product)" in text


def test_no_measured_slope_is_printed() -> None:
    made = [*FLASH, *CLOSE, pattern("near", 2)]
    for text in (*texts(made), said(made, 8192)):
        assert "n^" not in text
        assert ("exponent" in text) == ("exact counts" in text)


@pytest.mark.parametrize("form", ["plain", "html", "latex_text"])
def test_a_hedge_survives_every_rendering(form: str) -> None:
    noisy = [replace(r, flags=("noisy",)) for r in CLOSE]
    for within in WITHIN:
        (group,) = groups([*FLASH, *noisy])
        known = evidences(group, KNOWN)
        claim = choice(standing(group, WALL, 8192, graphs_of([pattern("near", 2)]), known), within)
        text = {"plain": told.plain, "html": told.html, "latex_text": told.latex_text}[form](told.said(claim))
        if claim.facts["best"] is not None:
            assert claim.certainty is PointState.FLAGGED
            assert "flagged: scattered samples" in text
            assert "by gather" in text


def test_a_name_cannot_mark_up_or_close_anything() -> None:
    odd = f"a{told.STRONG}<b>{told.END}"
    text = told.html(told.listed([odd]))
    assert text == "<b>a&lt;b&gt;</b>"
