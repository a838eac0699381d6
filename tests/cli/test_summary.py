"""What a sweep ends with: no mask hides another."""

from __future__ import annotations

from attnprof.cli.summary import longest, mask, missing, row
from attnprof.words import Status
from tests.fakes.records import SCHEMES, records


def test_each_mask_of_a_scheme_has_a_row() -> None:
    shown = [tuple(row(record)[:3]) for record in longest(records())]
    masks, passes = ("bidirectional", "causal"), ("forward", "train")
    assert sorted(shown) == sorted((f.name, pass_, word) for f in SCHEMES for pass_ in passes for word in masks)


def test_what_is_missing_names_the_mask_where_there_are_both() -> None:
    bad = [record for record in records() if record.status is not Status.OK]
    lines = missing(records())
    assert len(lines) == len({(r.point.target, r.point.pass_, mask(r), r.status) for r in bad}) > 0
    assert {line.partition(":")[0].split()[2] for line in lines} == {"bidirectional", "causal"}
    one = missing([record for record in records() if record.point.shape.causal])
    assert one
    assert all(len(line.partition(":")[0].split()) == 2 for line in one)
