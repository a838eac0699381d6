"""One table of quantities: every number of a record is in it once, and a row more is shown wherever numbers are."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Mapping
from typing import Any

import pytest

from attnprof import quantities
from attnprof.errors import AttnprofError
from attnprof.interval import Interval
from attnprof.quantities import QUANTITIES, Quantity, Side, Unit, quantity
from attnprof.records import Cost, Measured
from attnprof.render.csv_export import points_csv
from attnprof.render.series import groups
from attnprof.words import Timing
from tests.cli.console import attnprof as command
from tests.fakes.records import records

NO_NUMBERS = {"second_opinion", "certificate", "method"}


def test_every_number_of_a_cost_is_one_row() -> None:
    fields = {field.name for field in dataclasses.fields(Cost)} - NO_NUMBERS
    assert fields == {q.key for q in QUANTITIES if q.side is not Side.MEASURED and q.derived is None}
    assert len({q.key for q in QUANTITIES}) == len(QUANTITIES)


def test_every_time_is_one_row() -> None:
    timed = {name for name, kind in Measured.__annotations__.items() if kind == f"{Interval.__name__} | None"}
    assert timed == {q.key for q in QUANTITIES if q.unit is Unit.SECONDS} == set(Timing.values())


def test_units_stand_in_keys() -> None:
    ends = {Unit.BYTES: "_bytes", Unit.SECONDS: "_s", Unit.JOULES: "_j", Unit.OPS: "_ops"}
    assert all(q.key.endswith(ends[q.unit]) for q in QUANTITIES if q.unit in ends)
    assert all(q.key.startswith("flops_") or q.key.endswith("_flops") for q in QUANTITIES if q.unit is Unit.FLOPS)


def test_an_unknown_one_names_the_nearest() -> None:
    with pytest.raises(AttnprofError) as refused:
        quantity("peak_byte")
    assert "peak_bytes" in refused.value.hint


def halved(cost: Mapping[str, Any]) -> float | None:
    return None if cost.get("flops_executed") is None else cost["flops_executed"] // 2


TOY = Quantity("macs", Unit.OPS, "Multiply-adds", "multiply-adds", column="macs", derived=halved)


@pytest.fixture
def with_a_toy(monkeypatch: pytest.MonkeyPatch) -> Quantity:
    monkeypatch.setattr(quantities, "QUANTITIES", (*QUANTITIES, TOY))
    return TOY


def test_one_row_more_is_costed_and_shown(with_a_toy: Quantity) -> None:
    from attnprof.cli import cost_text
    from attnprof.plan.answer import CostQuestion, table
    from attnprof.shapes import Shape
    from attnprof.targets import door
    from attnprof.words import Pass

    rows = table(CostQuestion(door.find("dense"), Shape(n=64), (64,), (Pass.FORWARD,)))
    assert rows[0]["macs"] == rows[0]["flops_executed"] // 2

    from rich.console import Console

    console = Console(width=200, record=True, file=io.StringIO())
    cost_text.show_table(console, rows)
    assert "macs" in console.export_text()


def test_json_of_cost_has_every_costed_quantity() -> None:
    run = command("cost", "dense", "--lengths", "64", "--no-forms", "--json")
    row = run.data["table"][0]
    assert {q.key for q in quantities.costed()} <= row.keys()


def test_csv_has_every_costed_quantity() -> None:
    head = points_csv(groups(records())).splitlines()[0].split(",")
    assert {q.key for q in quantities.costed()} <= set(head)
