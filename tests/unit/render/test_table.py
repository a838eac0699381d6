import re

from attnprof.quantities import FLOPS, PEAK, WALL
from attnprof.render.page import page
from attnprof.render.series import groups, why
from attnprof.render.table import certificate, columns, rows
from tests.fakes.records import header, records


def test_every_record_is_a_row_with_its_status() -> None:
    made = records()
    found = rows(groups(made))
    assert len(found) == len(made)
    html = page(made, header(), plotly=False)
    body = re.search(r'id="all-points".*?<tbody>(.*?)</tbody>', html, flags=re.S)
    assert body is not None
    assert body[1].count("<tr>") == len(made)


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
    html = page(records(), header(), plotly=False)
    assert 'data-v="65536"' in html
    assert 'data-v="2147483648"' in html


def test_a_certificate_lists_what_was_counted() -> None:
    record = next(r for r in records() if r.point.target == "bigbird" and r.cost is not None)
    found = certificate(record)
    assert found is not None
    assert [op.op for op in found["counted"]] == ["aten.mm", "aten.bmm"]
    assert found["tile"] == "64 x 64"


def test_a_flag_is_explained_where_it_stands_and_among_the_words() -> None:
    html = page(records(), header(), plotly=False)
    assert 'class="flag" title="the samples' in html
    assert '<dt>flag <span class="flag">noisy</span></dt>' in html
    assert "flagged" in html
