"""The measured peak of the machine that a view was timed on: what achieved FLOP/s are a share of."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from attnprof.records import JsonObject
from attnprof.render.numbers import quantity
from attnprof.render.series import Conditions
from attnprof.words import DeviceName


@dataclass(frozen=True, slots=True)
class MachinePeak:
    """Matrix FLOP/s, or None; `told` says how they were measured, or why there are none."""

    flops_per_s: float | None
    told: str


UNKNOWN = MachinePeak(None, "No share of the machine’s peak: these records come without the header of their run.")


def peak_of(header: JsonObject, conditions: Conditions) -> MachinePeak:
    """The fastest peak that the runs of this device measured, in the dtype of the view."""
    if conditions.device == DeviceName.NONE:
        return MachinePeak(None, "No share of the machine’s peak: nothing was timed.")
    found = list(_calibrations(header, conditions.device))
    alike = [c for c in found if c.get("dtype") == conditions.dtype]
    if not found:
        return MachinePeak(None, "No share of the machine’s peak: this run did not measure it.")
    if not alike:
        return MachinePeak(
            None,
            f"No share of the machine’s peak: it was measured in {found[0].get('dtype')}, not in {conditions.dtype}.",
        )
    best = max(alike, key=lambda c: float(c["matmul_flops_per_s"]))
    peak = float(best["matmul_flops_per_s"])
    told = (
        f"Peak of the machine: {quantity(peak, 'flop/s')} in {conditions.dtype} ({best.get('method', 'method unknown')}"
    )
    return MachinePeak(peak, f"{told}); a peak is a measurement too, so that a share may pass 100%.")


def _calibrations(header: JsonObject, place: str) -> Iterator[JsonObject]:
    """The calibrations of the machine at a place: `cpu`, or `cpu, run 2` where a report joins several machines."""
    headers = header.get("runs") or [header]
    device, _, run = place.partition(", run ")
    for one in [headers[int(run) - 1]] if run.isdigit() and int(run) <= len(headers) else headers:
        found = one.get("calibration")
        if found and str(found.get("device", device)) == device:
            yield found
