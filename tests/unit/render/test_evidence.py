"""What is known of a point: its state, its prediction, whether it fits."""

from __future__ import annotations

from dataclasses import replace

import pytest

from attnprof.quantities import WALL
from attnprof.records import Forecast
from attnprof.render.claims import told
from attnprof.render.claims.evidence import PointState, evidence
from attnprof.render.claims.fits import longest
from attnprof.render.series import groups
from tests.fakes.crafted import (
    CLOSE,
    FLASH,
    pattern,
    point,
    said,
    texts,
)


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


def test_a_point_whose_turn_did_not_come_says_nothing_of_memory() -> None:
    gone = replace(point("dense", 2048, status="over_budget", reason="its turn did not come"), cost=None)
    made = [point("dense", 1024, wall=0.1), gone, point("dense", 4096, status="predicted_oom", peak=2**34)]
    fit = longest(groups(made)[0].series[0])
    assert fit is not None
    assert fit.fits == 1024
    told_of = [text for text in texts(made) if "before its turn" in text]
    assert len(told_of) == 1
    assert not any("fits in memory" in text for text in told_of)
