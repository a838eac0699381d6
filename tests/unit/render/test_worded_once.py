"""What a page words, claims and solves is done once for each thing that it is about: a law of counts, not of time."""

from __future__ import annotations

from collections import Counter

import pytest

from attnprof.render.claims import choice, told
from attnprof.render.claims.choice import LEAST, WITHIN
from attnprof.render.page import page
from attnprof.render.pages import packing
from tests.fakes.records import header, many


def test_nothing_is_worded_or_claimed_again_for_what_does_not_change_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A crossing has one cell whatever n; a choice is claimed once; what was asked has as many words as can be asked.

    Every wording of the page is one of `told.word`, every claim of a choice one of `_choice`: both are counted.
    """
    worded: Counter[str] = Counter()
    claimed: Counter[tuple[object, ...]] = Counter()
    word, make = told.word, choice._choice

    def counted(macro: str, *arguments: object) -> str:
        worded[macro] += 1
        return word(macro, *arguments)

    def once(at: choice.Ranking, within: int | None, least: float) -> choice.Claim:
        claimed[at.group.conditions, at.metric.key, at.n, within, least] += 1
        return make(at, within, least)

    packing._asked.cache_clear()
    monkeypatch.setattr(told, "word", counted)
    monkeypatch.setattr(choice, "_choice", once)
    made = [r for r in many(4) if not r.point.shape.causal]
    page(made, header(), plotly=False)

    series = len({(r.point.target, r.point.pass_) for r in made})
    points = len(made)
    quantities = 5
    assert worded["tip"]
    assert worded["tip"] <= points * quantities
    assert worded["tip_rest"] <= points
    assert worded["cheaper_from"] <= (series + 2) * quantities
    assert worded["within"] <= len(WITHIN) * len(LEAST)
    assert claimed
    # `findings` and the page each hold their own rankings
    assert max(claimed.values()) <= 2
