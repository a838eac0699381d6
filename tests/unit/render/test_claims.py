"""Crafted records for every kind of error that a report could make, and the words that they give."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attnprof.interval import Interval
from attnprof.quantities import FLOPS, PEAK, READS, STATE, WALL
from attnprof.records import Cost, Forecast, Measured, Point, Record
from attnprof.render.claims import findings, told
from attnprof.render.claims.choice import WITHIN, choice, evidences, standing
from attnprof.render.claims.crossings import crossing
from attnprof.render.claims.evidence import PointState, evidence
from attnprof.render.claims.first import first_claims
from attnprof.render.claims.fits import longest
from attnprof.render.claims.sight import graphs_of, sight
from attnprof.render.claims.versus import versus
from attnprof.render.pages.view import PageView, offered
from attnprof.render.series import groups
from attnprof.shapes import Shape
from attnprof.stats import over_rounds
from attnprof.words import Pass

NS = (1024, 2048, 4096, 8192)
KNOWN = (WALL, FLOPS, PEAK, STATE, READS)


def point(
    target: str,
    n: int,
    *,
    wall: tuple[float, float, float] | float | None = None,
    flops: int | None = None,
    useful: int | None = None,
    peak: int = 1000,
    status: str = "ok",
    flags: tuple[str, ...] = (),
    reason: str = "",
    impl: str | None = "eager",
    pass_: str = "forward",
    state: int | None = None,
    reads: int | None = None,
    causal: bool = False,
    opinion: Mapping[str, int | None] | None = None,
    reasons: Mapping[str, str] | None = None,
) -> Record:
    """One record; a bare time has an interval of a percent."""
    spread = (wall, wall * 0.99, wall * 1.01) if isinstance(wall, float) else wall
    measured = Measured(wall_s=Interval(*spread), peak_bytes=peak) if spread else None
    cost = Cost(
        flops_executed=flops or n * n,
        flops_core_executed=flops or n * n,
        flops_core_useful=useful,
        peak_bytes=peak,
        state_bytes=state,
        decode_read_bytes=reads,
        second_opinion=opinion or {},
    )
    where = Point(target, Shape(n=n, causal=causal), pass_, "cpu", impl)  # type: ignore[arg-type]
    why = dict(reasons or {}) | ({"measured": reason} if reason else {})
    return Record(
        "cost", f"{target}{n}{pass_}{causal}{impl}", where, cost, measured, status=status, reasons=why, flags=flags
    )  # type: ignore[arg-type]


def pattern(target: str, layers: int | None, n: int = 4096, causal: bool = False, **metrics: Any) -> Record:
    """A graph record."""
    why = {} if layers else {"layers_to_full": "never: 10 of 20 allowed pairs are out of reach at any depth"}
    held = {"layers_to_full": layers, "reasons": why, "exact": {"layers_to_full": "exact"}, **metrics}
    return Record("graph", f"g{target}{causal}", Point(target, Shape(n=n, causal=causal)), metrics=held)  # type: ignore[arg-type]


def edges(n: int, keys: int) -> int:
    """The useful core FLOPs of a forward whose queries read so many keys: 8 heads of 64."""
    return 8 * 2 * (64 + 64) * n * keys


def said(records: list[Record], n: int, metric: Any = WALL, within: int | None = 2) -> str:
    """The first claim of these records at n."""
    (group,) = groups(records)
    known = evidences(group, KNOWN)
    return told.plain(told.said(choice(standing(group, metric, n, graphs_of(records), known), within)))


def texts(records: list[Record]) -> list[str]:
    return [told.plain(told.said(c)) for c in findings(groups(records))]


FLASH = [point("flash", n, wall=n / 1000.0, impl="sdpa", useful=edges(n, n)) for n in NS]
CLOSE = [point("near", n, wall=n / 3000.0, impl="gather", peak=4000, useful=edges(n, 64)) for n in NS]


def test_a_status_is_not_a_reason_what_was_skipped_for_time_fits_in_memory() -> None:
    made = [
        point("dense", 1024, wall=0.1),
        point("dense", 2048, status="over_budget", reason="too slow"),
        point("dense", 4096, status="over_budget", reason="too slow"),
        point("dense", 8192, status="predicted_oom", reason="too large", peak=2**34),
    ]
    (series,) = groups(made)[0].series
    fit = longest(series)
    assert fit is not None
    assert (fit.fits, fit.how, fit.n, fit.tried) == (4096, "counted", 8192, False)
    assert any("dense 4k (counted, not run), not 8k" in text for text in texts(made))


@pytest.mark.parametrize("status", ["failed", "killed", "timeout", "unsupported"])
def test_what_failed_says_nothing_of_memory(status: str) -> None:
    made = [point("dense", 1024, wall=0.1), point("dense", 2048, status=status), point("dense", 4096, status="oom")]
    (series,) = groups(made)[0].series
    fit = longest(series)
    assert fit is not None
    assert fit.fits == 1024


def test_every_status_has_a_state_and_no_state_without_a_value_gets_one() -> None:
    for status in ("oom", "predicted_oom", "timeout", "killed", "failed", "unsupported", "over_budget"):
        (series,) = groups([point("a", 1024, status=status)])[0].series
        found = evidence(series, WALL)[1024]
        assert not found.state.valued
        assert found.value is None


def test_a_skipped_time_is_predicted_from_the_longest_measured_one_and_hedged_everywhere() -> None:
    made = [*FLASH[:2], point("flash", 4096, status="over_budget", impl="sdpa"), *CLOSE, pattern("near", 2)]
    (group,) = groups(made)
    found = evidence(group.series[0], WALL)[4096]
    assert found.state is PointState.PREDICTED
    assert found.value == pytest.approx(2.048 * 4)
    assert found.bounds is None
    text = said(made, 4096)
    assert "flash needs ≈ 8.19 s a layer (predicted, not run: scaled by executed FLOPs from n = 2k)" in text
    assert "≈ 6.0× less" in text
    assert "predicted, not run" in text.split("near", 1)[1]


def test_a_skipped_first_point_has_the_forecast_of_the_sweep() -> None:
    record = replace(point("a", 1024, status="over_budget"), forecast=Forecast(7.0, 5.0, 9.0, 21.0))
    found = evidence(groups([record])[0].series[0], WALL)[1024]
    assert (found.state, found.value, found.bounds) == (PointState.PREDICTED, 7.0, None)
    assert "as the sweep forecast it" in told.word("source", found)


def test_nothing_is_predicted_beyond_memory() -> None:
    made = [point("a", 1024, wall=0.1), point("a", 2048, status="predicted_oom")]
    assert evidence(groups(made)[0].series[0], WALL)[2048].value is None


def test_a_ratio_carries_its_interval_and_overlap_is_no_side() -> None:
    (group,) = groups([point("flash", 1024, wall=(1.0, 0.9, 1.2)), point("a", 1024, wall=(0.8, 0.7, 0.95))])
    a, flash = (evidence(s, WALL)[1024] for s in (group.series[1], group.series[0]))
    found = versus(a, flash)
    assert found is not None
    assert (found.outcome, found.low, found.high) == ("even", pytest.approx(0.9 / 0.95), pytest.approx(1.2 / 0.7))
    assert "not told apart" in told.word("times", found)


def sampled(target: str, *rounds: tuple[float, ...]) -> Record:
    """A point at 1k with the samples of its rounds."""
    made = point(target, 1024, wall=1.0)
    return replace(made, measured=Measured(wall_s=over_rounds(rounds)))


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


POSITIVE = st.floats(1e-3, 1e3)
INTERVAL = st.tuples(POSITIVE, st.floats(1.0, 3.0), st.floats(1.0, 3.0)).map(lambda t: (t[0], t[0] / t[1], t[0] * t[2]))


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


def test_the_least_is_said_with_reach_implementation_certainty_and_of_how_many() -> None:
    text = said([*FLASH, *CLOSE, pattern("near", 2, n=4096)], 8192)
    assert "Of 1 scheme known to reach every token within 2 layers, near needs least time: 3.0× [" in text
    assert "measured, intervals apart" in text
    assert "by gather" in text
    assert "4.0× the peak memory" in text
    assert "A query sees 64 of 8,192 keys, all tokens after 2 layers (pattern at n = 4k)." in text


def test_a_scheme_that_does_not_reach_is_never_the_answer_but_is_told() -> None:
    blind = [point("blind", n, wall=n / 90000.0, impl="gather", useful=edges(n, 3)) for n in NS]
    text = said([*FLASH, *CLOSE, *blind, pattern("near", 2), pattern("blind", None)], 8192)
    assert "near needs least time" in text
    assert "Cheaper still, without that reach: blind" in text
    assert "3 of 8,192 keys, some tokens at no depth" in text


def test_no_superlative_over_survivors() -> None:
    late = [point("late", n, wall=n / 9000.0) if n == 1024 else point("late", n, status="failed") for n in NS]
    text = said([*FLASH, *CLOSE, *late, pattern("near", 2), pattern("late", 1)], 8192)
    assert "Of 2 schemes known to reach every token within 2 layers, 1 of them with a value here" in text


def test_where_none_is_sure_to_need_less_the_answer_is_the_baseline() -> None:
    slow = [point("slow", n, wall=n / 500.0) for n in NS]
    text = said([*FLASH, *slow, pattern("slow", 1)], 8192)
    assert "none needs less: stay with flash" in text
    assert "least" not in text
    even = [point("even", n, wall=FLASH[0].measured.wall_s.median) for n in NS[:1]]
    unsure = said([FLASH[0], *even, pattern("even", 1, n=NS[0])], NS[0])
    assert (
        "none is sure to need less (1 not told apart from flash): nothing here tells whether to leave flash" in unsure
    )
    assert "stay with" not in unsure


def test_staying_is_no_advice_while_a_rival_has_no_value() -> None:
    slow, lost = [point("slow", n, wall=n / 500.0) for n in NS], [point("lost", n, status="failed") for n in NS]
    found = said([*FLASH, *slow, *lost, pattern("slow", 1), pattern("lost", 1)], 8192)
    assert "none is sure to need less: nothing here tells whether to leave flash" in found
    nothing = said([*FLASH, *lost, pattern("lost", 1)], 8192)
    assert "none of them with a value here, what they need is not known here" in nothing
    assert "stay with" not in found + nothing


def test_a_scheme_whose_reach_is_unknown_is_counted_as_such() -> None:
    text = said([*FLASH, *CLOSE], 8192)
    assert "No other scheme here is known to reach every token within 2 layers." in text
    assert "Of 1 other the reach is not known." in text


def test_reach_of_the_other_mask_is_not_used() -> None:
    (group,) = groups([point("near", 1024, wall=1.0)])
    found = sight(group.series[0], 1024, False, graphs_of([pattern("near", 2, causal=True)]))
    assert found.layers is None
    assert "other mask" in found.why


def test_a_selection_that_leaves_nothing_out_is_said() -> None:
    short = [point("picky", 1024, wall=0.1, useful=edges(1024, 1024)), point("flash", 1024, wall=9.0)]
    assert "its selection leaves nothing out" in said([*short, pattern("picky", 2)], 1024)


def test_decoding_is_never_ranked_by_scratch_memory() -> None:
    assert PEAK not in offered(Pass.DECODE)
    assert offered(Pass.DECODE)[:2] == (READS, STATE)
    made = [
        point("flash", 1024, pass_="decode", reads=4000, state=4000, peak=10),
        point("linear", 1024, pass_="decode", reads=40, state=40, peak=99),
        pattern("linear", 1),
    ]
    (group,) = groups(made)
    assert PageView(group, graphs_of(made)).metrics[0] is READS
    text = said(made, 1024, READS)
    assert "linear needs least bytes read per step: 100× less, 0.0× the state" in text.replace("1.0%", "")
    assert any("linear needs least bytes read per step" in line for line in first_claims(made))


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


def cross(ours: list[Record], theirs: list[Record]) -> str:
    (group,) = groups([*ours, *theirs])
    a, b = (next(s for s in group.series if s.target == r[0].point.target) for r in (ours, theirs))
    return told.word("cheaper_from", crossing(evidence(a, WALL), evidence(b, WALL)))


def curve(target: str, *times: float | tuple[float, float, float] | None, flags: tuple[str, ...] = ()) -> list[Record]:
    return [
        point(target, n, wall=t, flags=flags) if t else point(target, n, status="over_budget")
        for n, t in zip(NS, times, strict=False)
    ]


@pytest.mark.parametrize(
    ("ours", "words"),
    [
        ((2.0, 2.1, 2.2, 2.3), "2k–4k"),
        ((0.5, 0.6, 0.7, 0.8), "≤ 1k"),
        ((9.0, 9.0, 9.0, 9.0), "none by 8k"),
        ((0.5, 0.6, 9.0, 99.0), "only up to 2k–4k"),
        ((0.5, 9.0, 0.5, 99.0), "unclear"),
        ((2.0, (2.05, 1.5, 3.0), 2.2, 2.3), "1k–4k"),
    ],
)
def test_a_crossing_is_bracketed_by_certain_points(ours: tuple[Any, ...], words: str) -> None:
    assert cross(curve("a", *ours), curve("flash", 1.0, 2.0, 4.0, 8.0)) == words


def test_a_crossing_without_a_certain_upper_end_is_not_stated() -> None:
    assert cross(curve("a", 2.0, 3.0, 4.1, (7.5, 5.0, 9.0)), curve("flash", 1.0, 2.0, 4.0, 8.0)) == "none by 4k"


def test_a_crossing_on_flagged_points_carries_its_hedge() -> None:
    assert cross(curve("a", 2.0, 2.1, 2.2, 2.3, flags=("noisy",)), curve("flash", 1.0, 2.0, 4.0, 8.0)) == "2k–4k?"


def test_a_baseline_that_was_cut_off_bounds_what_came_after() -> None:
    """It needs no less at longer n than where it was last measured: ours can be less there, never more."""
    assert cross(curve("a", 2.0, 2.5, 2.2, 1.9), curve("flash", 1.0, 2.0, None, None)) == "2k–8k"
    assert cross(curve("a", 0.5, 0.6, 9.0, 9.0), curve("flash", 1.0, 2.0, None, None)) == "≤ 1k"


def test_predictions_do_not_vote() -> None:
    assert cross(curve("a", 2.0, None, None, None), curve("flash", 1.0, 2.0, 4.0, 8.0)) == "none by 1k"


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


@given(
    st.lists(
        st.tuples(INTERVAL, st.sampled_from(["ok", "over_budget", "oom", "failed"]), st.booleans()),
        min_size=2,
        max_size=6,
    )
)
def test_no_random_records_make_an_unhedged_superlative(rows: Any) -> None:
    made = [point("flash", 8192, wall=1.0, useful=edges(8192, 8192))]
    for k, (wall, status, flag) in enumerate(rows):
        flags = ("noisy",) if flag else ()
        made.append(point(f"x{k}", 1024, wall=wall, flags=flags))
        made.append(point(f"x{k}", 8192, wall=wall if status == "ok" else None, status=status, flags=flags))
    text = said([*made, *(pattern(f"x{k}", 1) for k in range(len(rows)))], 8192)
    if "needs least" in text:
        assert re.search(r"Of \d+ schemes? known to reach", text)
        assert re.search(r"\((measured|predicted|counted)[^()]*; by its own eager code\)", text)
        assert "A query sees" in text


def test_a_point_whose_turn_did_not_come_says_nothing_of_memory() -> None:
    gone = replace(point("dense", 2048, status="over_budget", reason="its turn did not come"), cost=None)
    made = [point("dense", 1024, wall=0.1), gone, point("dense", 4096, status="predicted_oom", peak=2**34)]
    fit = longest(groups(made)[0].series[0])
    assert fit is not None
    assert fit.fits == 1024
    told_of = [text for text in texts(made) if "before its turn" in text]
    assert len(told_of) == 1
    assert not any("fits in memory" in text for text in told_of)


def test_a_least_sight_leaves_out_what_reads_less_or_an_unknown_number() -> None:
    (group,) = groups([*FLASH, *CLOSE])
    at = standing(group, WALL, 8192, graphs_of([pattern("near", 2)]), evidences(group, KNOWN))
    assert choice(at, 2, 0.001).facts["reaching"] == 1
    told_of = choice(at, 2, 0.01)
    assert told_of.facts["reaching"] == 0
    assert "each query reading at least 1% of the keys that it may" in told.plain(told.said(told_of))
    assert told_of.facts["cheaper"] is not None
