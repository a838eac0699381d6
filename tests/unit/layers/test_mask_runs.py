"""Where a mask is written: all places that want it, in two runs at most, the widest gap between them spared."""

from __future__ import annotations

import numpy as np
import pytest

from attnprof.layers.gathered import runs


@pytest.mark.parametrize("seed", range(20))
def test_runs_hold_every_place_and_spare_the_widest_gap(seed: int) -> None:
    draw = np.random.default_rng(seed)
    wanted = draw.random(int(draw.integers(1, 40))) < draw.random()
    found = runs(wanted)
    written = np.zeros(len(wanted), dtype=np.int64)
    for run in found:
        written[run] += 1
    assert len(found) <= 2
    assert written.max() <= 1
    assert (written[wanted] == 1).all()
    places = np.flatnonzero(wanted)
    widest = int(np.diff(places).max(initial=1)) - 1 if len(places) else 0
    spared = int((written[places[0] : places[-1] + 1] == 0).sum()) if len(places) else 0
    assert spared == widest


def test_a_band_spares_the_middle_of_its_tiles() -> None:
    assert runs(np.array([True] * 3 + [False] * 4 + [True] * 2)) == [slice(0, 3), slice(7, 9)]
    assert runs(np.zeros(5, dtype=np.bool_)) == []
    assert runs(np.ones(5, dtype=np.bool_)) == [slice(0, 5)]
