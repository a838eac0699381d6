"""One point on one device: memory, saved bytes, time and energy, each in a pass of its own."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from attnprof.contracts import Target
from attnprof.device import Device
from attnprof.device.instruments.clock import Clock, Step
from attnprof.device.instruments.sensors import Sensors
from attnprof.measure.environment import crowded
from attnprof.records import Measured
from attnprof.shapes import Shape
from attnprof.usercode import own_mistakes
from attnprof.words import Pass

if TYPE_CHECKING:
    from torch import Tensor, nn

    from attnprof.device.instruments.allocator import AllocatorPeak
    from attnprof.measure.energy import Energy
    from attnprof.measure.passes import Passage
    from attnprof.measure.sampling import Samples

NO_BUDGET_S = 3600.0


class Outcome(NamedTuple):
    """What was measured, why fields of it are missing, and what should be known of its quality."""

    measured: Measured
    reasons: dict[str, str]
    flags: tuple[str, ...]


def measure_target(target: Target, shape: Shape, pass_: Pass, device: Device, *, budget_s: float | None) -> Outcome:
    """Build a target at a shape on a device and measure it.

    `budget_s` seconds of timing (None: no limit). Raises what building or running raises, out-of-memory included.
    """
    import torch

    began = time.perf_counter()
    torch.manual_seed(shape.seed)
    with own_mistakes(target, shape):
        module = target.build(shape).to(device.where)
        inputs = [x.to(device.where) for x in target.inputs(shape)]
        return measure(module, inputs, pass_, device, budget_s=budget_s, began=began)


def measure(
    module: nn.Module,
    inputs: Sequence[Tensor],
    pass_: Pass,
    device: Device,
    *,
    budget_s: float | None,
    began: float | None = None,
) -> Outcome:
    """Measure one pass of a module that is on its device with its inputs; `began` is when its making began.

    Memory first (its runs warm the caches and workspaces), then time, then energy where there is a counter.
    """
    from attnprof.measure.memory import peak
    from attnprof.measure.passes import passage
    from attnprof.measure.sampling import sample

    clock, sensors = device.clock(), device.sensors()
    budget = NO_BUDGET_S if budget_s is None else budget_s
    began = time.perf_counter() if began is None else began
    ready = passage(module, inputs, pass_)
    setup_s = time.perf_counter() - began
    memory = peak(ready, device)
    prepare = _in_order(ready.before, device.flush())
    samples = sample(ready.steps, clock, budget_s=budget, before=prepare, warmed=True)
    warned = _warnings(device, sensors)
    clock_mhz = sensors.clock_mhz()
    used = _energy(ready, clock, sensors, samples, budget)
    ready.after()
    measured = replace(_measured(ready, samples, memory, used, clock_mhz, clock), setup_s=setup_s)
    return Outcome(measured, {**_reasons(measured, sensors, used, pass_), **warned}, _flags(samples, used, warned))


def _warnings(device: Device, sensors: Sensors) -> dict[str, str]:
    import torch

    if not device.accelerator:
        return crowded(torch.get_num_threads())
    return threatened(sensors.throttle(), sensors.processes())


def threatened(slowed: Sequence[str] | None, others: Sequence[int] | None) -> dict[str, str]:
    """Flags that readings of a device raise, each with its reason: `throttled`, `shared_device`."""
    raised = {}
    if slowed:
        raised["throttled"] = f"the device held its clocks back: {', '.join(slowed)}"
    if others:
        raised["shared_device"] = f"other processes compute on the device: {', '.join(map(str, others))}"
    return raised


def _in_order(*steps: Step | None) -> Step:
    def run() -> None:
        for step in steps:
            if step is not None:
                step()

    return run


def _energy(ready: Passage, clock: Clock, sensors: Sensors, samples: Samples, budget_s: float) -> Energy:
    from attnprof.measure.energy import WINDOW_S, energy

    run_s = samples.total().median
    return energy(ready.steps, clock, sensors, run_s=run_s, most_s=max(budget_s, WINDOW_S), before=ready.before)


def _measured(
    ready: Passage,
    samples: Samples,
    memory: AllocatorPeak,
    used: Energy,
    clock_mhz: float | None,
    clock: Clock,
) -> Measured:
    import torch

    split = "backward" in ready.names
    return Measured(
        wall_s=samples.total(),
        forward_s=samples.step(0) if split else None,
        backward_s=samples.step(1) if split else None,
        saved_bytes=ready.saved_bytes,
        peak_bytes=memory.peak_bytes,
        reserved_bytes=memory.reserved_bytes,
        energy_j=used.joules,
        clock_mhz=clock_mhz,
        threads=torch.get_num_threads(),
        method=f"time: {clock.name}; memory: {memory.method}",
    )


def _reasons(measured: Measured, sensors: Sensors, used: Energy, pass_: Pass) -> dict[str, str]:
    why = {
        "forward_s": f"a {pass_} pass is not split",
        "backward_s": f"a {pass_} pass has no backward",
        "saved_bytes": f"a {pass_} pass keeps nothing for a backward",
        "reserved_bytes": "the CPU allocator reserves nothing",
        "energy_j": used.reason or "",
        "clock_mhz": sensors.reasons.get("clock_mhz", "no sensor"),
    }
    return {name: reason for name, reason in why.items() if getattr(measured, name) is None}


def _flags(samples: Samples, used: Energy, warned: dict[str, str]) -> tuple[str, ...]:
    short = ("energy_short",) if used.short and used.joules is not None else ()
    return (*samples.flags, *short, *warned)
