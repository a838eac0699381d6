"""Several runs as the records of one report."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Protocol

from attnprof.naming import by_source
from attnprof.records import JsonDict, JsonObject, Record
from attnprof.store import machine_of


class Source(Protocol):
    """What a run must offer: its header and its records as they were written."""

    @property
    def header(self) -> JsonObject: ...

    def written(self) -> list[Record]: ...


def joined(runs: Sequence[Source]) -> tuple[list[Record], dict[str, object]]:
    """The records of all runs, and one header that holds theirs under `runs` where there are several.

    Records of different machines must not be compared: where environments differ, the point of a record says which
    run it is of (`run 2`).
    """
    headers = [dict(run.header) for run in runs]
    if len(headers) == 1:
        return told_apart(runs[0].written()), headers[0]
    machines = [machine_of(header) for header in headers]
    several = any(machine != machines[0] for machine in machines)
    records: list[Record] = []
    for run, machine in zip(runs, machines, strict=True):
        name = f"run {machines.index(machine) + 1}" if several else ""
        records += [_on(record, name) for record in run.written()]
    records = told_apart(records)
    kept: JsonDict = {k: v for header in headers for k, v in (header.get("cards") or {}).items()}
    return records, {"runs": headers, "cards": kept, "version": headers[-1].get("version")}


def told_apart(records: Sequence[Record]) -> list[Record]:
    """The records, targets of one name that different sources were found by under a name each."""
    names = by_source((record.point.target, record.point.source) for record in records)
    return [_called(record, names[record.point.target, record.point.source]) for record in records]


def _called(record: Record, name: str) -> Record:
    if name == record.point.target:
        return record
    return dataclasses.replace(record, point=dataclasses.replace(record.point, target=name))


def _on(record: Record, name: str) -> Record:
    return dataclasses.replace(record, point=dataclasses.replace(record.point, machine=name)) if name else record
