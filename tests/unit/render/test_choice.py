"""What to use at n: the first claim, whom it ranks, and what it leaves open."""

from __future__ import annotations

import re
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from attnprof.quantities import PEAK, READS, STATE, WALL
from attnprof.render.claims import told
from attnprof.render.claims.choice import choice, evidences, standing
from attnprof.render.claims.first import first_claims
from attnprof.render.claims.sight import graphs_of, sight
from attnprof.render.pages.view import PageView, offered
from attnprof.render.series import groups
from attnprof.words import Pass
from tests.fakes.crafted import (
    CLOSE,
    FLASH,
    INTERVAL,
    KNOWN,
    NS,
    edges,
    pattern,
    point,
    said,
)


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


def test_a_least_sight_leaves_out_what_reads_less_or_an_unknown_number() -> None:
    (group,) = groups([*FLASH, *CLOSE])
    at = standing(group, WALL, 8192, graphs_of([pattern("near", 2)]), evidences(group, KNOWN))
    assert choice(at, 2, 0.001).facts["reaching"] == 1
    told_of = choice(at, 2, 0.01)
    assert told_of.facts["reaching"] == 0
    assert "each query reading at least 1% of the keys that it may" in told.plain(told.said(told_of))
    assert told_of.facts["cheaper"] is not None
