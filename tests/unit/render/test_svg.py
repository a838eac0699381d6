import itertools

from hypothesis import given
from hypothesis import strategies as st

from attnprof.render.figures import MOST_HIGHLIGHTED, Figure, figure
from attnprof.render.palette import styles
from attnprof.render.series import groups
from attnprof.render.svg import draw, spread
from tests.fakes.records import many, records


def figures(made: list) -> list[Figure]:
    found = groups(made)
    style_of = styles(s for g in found for s in g.series)
    return [figure(g, style_of, f"figure-{k}") for k, g in enumerate(found)]


@given(st.lists(st.floats(-50, 350), min_size=1, max_size=15))
def test_labels_do_not_overlap_and_keep_their_order(wanted: list[float]) -> None:
    places = spread(wanted, 12.5, 10, 250)
    ranked = sorted(range(len(wanted)), key=lambda k: wanted[k])
    heights = [places[k] for k in ranked]
    assert all(b - a >= 12.49 for a, b in itertools.pairwise(heights))
    assert min(heights) >= 10
    assert max(heights) <= 250.01


def test_labels_that_have_room_stay_where_they_want_to_be() -> None:
    assert spread([20, 100, 60], 10, 0, 200) == [20, 100, 60]


def test_everything_is_drawn_inside_the_frame() -> None:
    for found in figures(records()):
        for panel in found.panels:
            drawing = draw(panel)
            for curve in drawing.curves:
                assert all(drawing.left <= d.x <= drawing.right for d in curve.dots)
                assert all(drawing.top <= d.y <= drawing.bottom for d in curve.dots)


def test_every_point_is_a_dot_or_a_mark() -> None:
    for group, found in zip(groups(records()), figures(records()), strict=True):
        for panel in found.panels:
            drawn = {(line.label, n) for line in panel.lines for n in line.readings}
            marked = {(label, m.n) for m in panel.marks for label in m.labels}
            points = {(s.label, r.point.shape.n) for s in group.series for r in s.records}
            assert drawn | marked == points
            assert not drawn & marked


def test_thirty_schemes_have_few_labels_and_all_lines() -> None:
    for found in figures(many(30)):
        for panel in found.panels:
            named = [line for line in panel.lines if line.highlighted]
            assert len(named) <= MOST_HIGHLIGHTED
            assert {"dense", "flash"} <= {line.label for line in named}
        assert len(found.legend) == 30


def test_a_line_breaks_where_a_value_is_missing() -> None:
    (line, *_) = figures(records())[0].panels[0].lines
    gap = {n: r for n, r in line.readings.items() if n != 4096}
    broken = type(line)(line.label, line.style, gap, line.exponent, line.highlighted)
    assert broken.pieces((1024, 2048, 4096, 8192)) == [[1024, 2048], [8192]]
