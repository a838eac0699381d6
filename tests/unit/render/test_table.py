import re

from attnprof.quantities import FLOPS, PEAK, WALL
from attnprof.render.series import groups, why
from attnprof.render.table import columns, rows
from tests.fakes.records import records
from tests.unit.render.test_page import usual


def points(html: str) -> str:
    return html[html.index('<section id="points"') : html.index('<section id="cite"')]


def test_every_record_is_a_row_with_its_status() -> None:
    made = records()
    assert len(rows(groups(made))) == len(made)
    body = points(usual()).split("<tbody>")[1]
    assert body.count("<tr><td>") == len(made)
    assert body.count("unsupported: ") == sum(r.status == "unsupported" for r in made)


def test_a_missing_value_is_a_dash_with_its_reason_and_never_a_zero() -> None:
    for row in rows(groups(records())):
        for cell in row.cells:
            assert (cell.text == "") == (cell.value is None)
        if row.record.status != "ok":
            assert why(row.record)
            assert row.cells[0].detail == why(row.record)


def test_empty_columns_are_left_out() -> None:
    keys = [m.key for m in columns(groups(records()))]
    assert keys[:2] == [WALL.key, FLOPS.key]
    assert PEAK.key in keys
    assert "energy_j" not in keys


def test_sorting_uses_exact_values() -> None:
    html = usual()
    board = html[html.index('id="board"') : html.index('<section id="curves"')]
    assert 'class="n c-peak" data-v="' in board


def test_a_flag_is_named_where_it_stands_and_explained_among_the_flags() -> None:
    html = usual()
    assert "scattered samples" in points(html)
    assert re.search(r"<li><b>scattered samples</b>, \d+: the samples", html)
