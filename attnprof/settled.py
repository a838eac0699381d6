"""Times that rest on too few rounds of a run, with the interval that the noise of their machine gives them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from attnprof.records import Record
from attnprof.stats import Noise, noise


def settled(records: Sequence[Record]) -> list[Record]:
    """The records, times of too few rounds with the interval that the noise of their machine gives them."""
    heard: dict[str, Noise] = {}
    for machine in {record.point.machine for record in records}:
        walls = (r.measured.wall_s for r in records if r.measured and r.point.machine == machine)
        heard[machine] = noise(wall for wall in walls if wall is not None)
    return [_settled(record, heard[record.point.machine]) for record in records]


def _settled(record: Record, heard: Noise) -> Record:
    if record.measured is None or record.measured.wall_s is None:
        return record
    held = record.measured
    times = {"wall_s": held.wall_s, "forward_s": held.forward_s, "backward_s": held.backward_s}
    found = {name: heard.settled(time) for name, time in times.items() if time is not None}
    return dataclasses.replace(record, measured=dataclasses.replace(held, **found))
