"""Display lists: nothing overlaps, nothing runs out, every point is drawn or said to be missing, one list for all."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Sequence
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attnprof.render.backends.interactive import plotly_figure, value
from attnprof.render.backends.svg import svg
from attnprof.render.claims.sight import graphs_of
from attnprof.render.layout.axes import factor_scale, length_scale, linear_scale, value_scale
from attnprof.render.layout.compact import LETTERS, STATES, compact
from attnprof.render.layout.curves import Curve, PanelBox
from attnprof.render.layout.display import Anchor, Caption, Display, Lettering, Role, Scale
from attnprof.render.layout.labels import place, spread
from attnprof.render.layout.lettering import text_width
from attnprof.render.layout.scatter import NARROW, WIDE, Canvas, Sees, scatter
from attnprof.render.layout.sheet import PanelPlan, columns_for, sheet
from attnprof.render.pages.multiples import multiples
from attnprof.render.pages.packing import first_labels
from attnprof.render.pages.view import PageView, curves_of, views
from attnprof.render.palette import Style, styles
from attnprof.render.series import groups
from tests.fakes.records import graph, many, records


def collisions(texts: Sequence[Caption], slack: tuple[float, float] = (1.0, 1.0)) -> list[tuple[str, str]]:
    """The pairs of texts whose boxes meet by more than `slack`, across and down."""
    pairs = itertools.combinations([text for text in texts if text.text], 2)
    boxes = [(a.text, b.text, a.box, b.box) for a, b in pairs]
    return [
        (one, two)
        for one, two, a, b in boxes
        if all(min(a[k + 2], b[k + 2]) - max(a[k], b[k]) > slack[k] for k in (0, 1))
    ]


VALUES = st.lists(st.floats(1e-7, 1e16), min_size=1, max_size=20)


@cache
def world(count: int) -> tuple[list[PageView], dict[str, Style]]:
    """The views of made-up records, and their styles."""
    made = many(count) if count else records()
    names = sorted({r.point.target for r in made})
    graphs = graphs_of([graph(name, layers=(None, 1, 2, 5, 16)[k % 5]) for k, name in enumerate(names)])
    found = groups(made)
    return views(found, graphs), styles((s for g in found for s in g.series), {})


def inside(display: Display, slack: float = 1.0) -> bool:
    """Whether every text lies within the figure."""
    boxes = [t.box for t in display.texts]
    return all(
        b[0] >= -slack and b[1] >= -slack and b[2] <= display.width + 10 and b[3] <= display.height + slack
        for b in boxes
    )


@pytest.mark.parametrize("canvas", [WIDE, NARROW], ids=["wide", "narrow"])
@pytest.mark.parametrize("sees", list(Sees))
@pytest.mark.parametrize("count", [0, 80])
def test_no_two_texts_of_a_choice_meet_and_none_runs_out(count: int, sees: Sees, canvas: Canvas) -> None:
    found, style_of = world(count)
    for view in found[:2]:
        for metric in view.metrics[:2]:
            for n in (view.lengths[0], view.lengths[-1]):
                at = view.standing(metric, n)
                drawn = scatter(at, sees, style_of, canvas, first_labels(at))
                assert drawn is not None
                assert collisions(drawn.texts) == []
                assert inside(drawn)
                left, top, right, bottom = drawn.plot
                assert all(0 <= d.x <= drawn.width and 0 <= d.y <= drawn.height for d in drawn.dots)
                assert {d.series for d in drawn.dots} == {
                    style_of[c.series.label].index for c in at.everyone if c.cost.state.valued
                }
                labelled = {t.series for t in drawn.texts if t.role is Lettering.LABEL}
                told = {style_of[label].index for label in first_labels(at)}
                assert told <= labelled | set(drawn.unlabelled)
                assert right > left
                assert bottom > top


def test_with_few_schemes_every_dot_has_its_label() -> None:
    found, style_of = world(0)
    for view in found:
        for n in view.lengths:
            drawn = scatter(view.standing(view.metrics[0], n), Sees.KEYS, style_of, WIDE)
            assert drawn is not None
            assert drawn.unlabelled == ()


@pytest.mark.parametrize("count", [0, 80])
def test_no_two_texts_of_a_panel_meet_and_lines_are_labelled_where_they_end(count: int) -> None:
    found, style_of = world(count)
    for kind, points in curves_of(found[1]):
        for drawn in multiples(found[1], kind, points, style_of):
            labels = [t for t in drawn.texts if t.role is Lettering.LABEL]
            others = [t for t in drawn.texts if t.role is not Lettering.LABEL]
            assert collisions(drawn.texts, (1.0, 2.0)) == []
            assert inside(drawn)
            assert others
            ends = {d.series for d in drawn.dots}
            assert ends == {t.series for t in labels} | set(drawn.unlabelled)


def test_a_line_that_ends_early_is_labelled_near_its_end() -> None:
    found, style_of = world(0)
    kind, points = curves_of(found[0])[0]
    dense = style_of["dense"].index
    for drawn in multiples(found[0], kind, points, style_of):
        last = max((d for d in drawn.dots if d.series == dense), key=lambda d: d.x)
        label = next((t for t in drawn.texts if t.series == dense), None)
        if label is not None and last.x < drawn.x.end - 20:
            box = label.box
            away = math.hypot(max(box[0] - last.x, 0, last.x - box[2]), max(box[1] - last.y, 0, last.y - box[3]))
            assert away < 45
            assert any(d.state.value == "memory" for d in drawn.dots if d.series == dense)


def test_every_length_with_a_value_is_a_dot() -> None:
    found, style_of = world(0)
    for view in found:
        for kind, points in curves_of(view):
            drawn = multiples(view, kind, points, style_of)
            dots = {(d.series, d.n) for panel in drawn for d in panel.dots if d.state.valued}
            known = {(style_of[s].index, n) for s, by_n in points.items() for n, p in by_n.items() if p.state.valued}
            assert dots == known


@pytest.mark.parametrize("width", [219.09, 345.0, 397.48, 455.24, 487.82, 516.0])
@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_a_sheet_is_legible_at_the_width_of_every_venue(width: float, count: int) -> None:
    found, style_of = world(0)
    kinds = curves_of(found[0])[:count]
    plans = [
        PanelPlan(kind.title, kind.unit, [Curve(label, style_of[label], p) for label, p in points.items()])
        for kind, points in kinds
    ]
    whole, panels = sheet("", plans, found[0].lengths, width)
    assert collisions(whole.texts, (0.0, 0.5)) == []
    assert inside(whole)
    assert whole.width == width
    columns = columns_for(width, len(plans))
    for drawn in panels:
        left, top, right, bottom = drawn.plot
        assert (right - left) * (bottom - top) >= 0.55 * drawn.width * drawn.height
        assert drawn.width <= width / columns
        assert len([t for t in drawn.texts if t.role is Lettering.TICK]) >= 4


@given(VALUES, st.sampled_from(["s", "flops", "bytes", "j"]))
def test_every_value_lies_inside_its_scale(values: list[float], unit: str) -> None:
    for scale in (value_scale(values, unit, 0, 100), linear_scale(values, unit, 0, 100)):
        assert all(-1e-6 <= scale.at(v) <= 100 + 1e-6 for v in values)


@given(VALUES, st.sampled_from(["s", "flops", "bytes"]))
def test_a_scale_has_a_few_rising_ticks_inside_it(values: list[float], unit: str) -> None:
    scale = value_scale(values, unit, 0, 100)
    places = [scale.at(v) for v, _ in scale.ticks]
    assert 1 <= len(places) <= 6
    assert places == sorted(places)
    assert all(-1e-6 <= p <= 100 + 1e-6 for p in places)
    assert len({label for _, label in scale.ticks}) == len(places)


def test_bytes_have_ticks_at_powers_of_two() -> None:
    ticks = value_scale([2**20, 2**30], "bytes", 0, 100).ticks
    assert [label for _, label in ticks] == ["1 MiB", "4 MiB", "16 MiB", "64 MiB", "256 MiB", "1 GiB"]


@given(st.lists(st.floats(1e-4, 1e4), min_size=1, max_size=9), st.floats(120, 900))
def test_the_ticks_of_a_ratio_hold_one_and_do_not_touch(ratios: list[float], width: float) -> None:
    scale = factor_scale(ratios, 0, width, "flash", 11)
    assert (1.0, "flash") in scale.ticks
    spans = [(scale.at(v) - text_width(t, 11) / 2, scale.at(v) + text_width(t, 11) / 2) for v, t in scale.ticks]
    assert all(b[0] >= a[1] for a, b in itertools.pairwise(spans))


@pytest.mark.parametrize("ns", [(4096,), (1024, 2048), tuple(2**k for k in range(4, 21))], ids=str)
@pytest.mark.parametrize("width", [60.0, 300.0])
def test_the_scale_of_lengths_names_its_longest_and_its_labels_do_not_touch(ns: tuple[int, ...], width: float) -> None:
    scale = length_scale(ns, 0, width)
    assert scale.ticks[-1][0] == ns[-1]
    spans = [(scale.at(v) - text_width(t, 11.5) / 2, scale.at(v) + text_width(t, 11.5) / 2) for v, t in scale.ticks]
    assert all(b[0] >= a[1] for a, b in itertools.pairwise(spans))


@given(st.lists(st.floats(-50, 350), min_size=1, max_size=15))
def test_labels_in_a_column_keep_apart_and_in_order(wanted: list[float]) -> None:
    places = spread(wanted, 12.5, 10, 250)
    heights = [places[k] for k in sorted(range(len(wanted)), key=lambda k: wanted[k])]
    assert all(b - a >= 12.3 for a, b in itertools.pairwise(heights))
    assert min(heights) >= 10
    assert max(heights) <= 250.1


def test_labels_that_have_room_stay_where_they_want_to_be() -> None:
    assert spread([20, 100, 60], 10, 0, 200) == [20, 100, 60]


def test_a_label_that_finds_no_room_is_left_out_rather_than_laid_over_another() -> None:
    found = place([(50, 50, 4)] * 40, [(60, 12)] * 40, (0, 0, 100, 100), [(46, 46, 54, 54)])
    kept = [p for p in found if p is not None]
    assert 0 < len(kept) < 40
    boxes = [(x - 30, y - 6, x + 30, y + 6) for x, y in kept]
    for a, b in itertools.combinations(boxes, 2):
        assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]


def test_every_back_end_draws_the_same_list() -> None:
    found, style_of = world(0)
    view = found[0]
    at = view.standing(view.metrics[0], view.lengths[2])
    drawn = scatter(at, Sees.KEYS, style_of, WIDE)
    assert drawn is not None
    markup = svg(drawn)
    short = compact(drawn)
    labels = {s.index: label for label, s in style_of.items()}
    numbers = {s.index: s for s in style_of.values()}
    traces = plotly_figure([drawn], numbers, labels)["data"]
    assert markup.count('class="dot') == len(drawn.dots) == len(short[6][0])
    assert markup.count("<text") == len(drawn.texts) == len(short[7])
    assert {t["name"] for t in traces if t["mode"] == "markers"} == {labels[d.series] for d in drawn.dots}
    for d, packed in zip(drawn.dots, zip(*short[6], strict=True), strict=True):
        assert packed[:2] == (d.x, d.y)
        assert STATES[packed[3]] is d.state
    assert [LETTERS[t[3]] for t in short[7]] == [t.role for t in drawn.texts]


def test_plotly_is_given_the_values_back() -> None:
    scale = Scale(40, 340, 0.5, 500)
    for v in (0.5, 3.0, 499.0):
        assert value(scale, scale.at(v)) == pytest.approx(v)
    straight = Scale(40, 340, 0, 8, log=False)
    assert value(straight, straight.at(5.0)) == pytest.approx(5.0)


def test_a_choice_without_a_baseline_has_the_cost_itself_across() -> None:
    made = [r for r in records() if r.point.target not in ("dense", "flash")]
    (view, *_) = views(groups(made), {})
    style_of = styles(view.group.series, {})
    drawn = scatter(view.standing(view.metrics[0], 8192), Sees.KEYS, style_of, WIDE)
    assert drawn is not None
    assert not any(s.role is Role.BASE for s in drawn.strokes)
    assert any(re.search(r"\d (ms|s|µs)$", t.text) for t in drawn.texts if t.anchor is Anchor.MIDDLE)


def test_linear_axes_begin_at_zero_and_hold_every_value() -> None:
    seen, style = world(0)
    view = seen[0]
    kind, points = curves_of(view)[0]
    for drawn in multiples(view, kind, points, style, PanelBox(linear=True)):
        assert (drawn.x.low, drawn.y.low, drawn.x.log, drawn.y.log) == (0.0, 0.0, False, False)
        left, top, right, bottom = drawn.plot
        assert all(left <= d.x <= right + 12 and top - 1 <= d.y <= bottom + 1 for d in drawn.dots)
        assert collisions(drawn.texts, (2.0, 4.0)) == []
