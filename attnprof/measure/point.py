"""One point on one device: memory, saved bytes, time and energy, each in a pass of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from time import sleep
from typing import TYPE_CHECKING, NamedTuple

from attnprof.contracts import SchemeTarget, Target
from attnprof.device import Device
from attnprof.device.instruments.clock import Clock, Step, now
from attnprof.device.instruments.sensors import Sensors
from attnprof.machine import page_faults
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
AGAIN_S = 0.5  # of a run or a quarter of a setting up, up to which one more shows whether all modules drift together
PATIENCE_S = 0.1  # only where the code is not ours
FLOOR = 3
FAULT_S = 2.5e-7  # what handing out a page takes at least: a quarter of a microsecond to clear 4 KiB
FAULTS_SHARE = 0.05


class Outcome(NamedTuple):
    """What was measured, why fields of it are missing, and what should be known of its quality."""

    measured: Measured
    reasons: dict[str, str]
    flags: tuple[str, ...]


def measure_target(
    target: Target,
    shape: Shape,
    pass_: Pass,
    device: Device,
    *,
    budget_s: float | None,
    memory: bool = True,
    floor: int = FLOOR,
) -> Outcome:
    """Build a target at a shape on a device and measure it, then see whether the timed runs did their work.

    `budget_s` seconds of timing (None: no limit), `floor` samples where they fit into it; `memory`: whether it is read.

    Raises what building or running raises, out-of-memory included, and `Failed` where a timed run did not compute.
    """
    import torch

    began = now()

    def made() -> tuple[nn.Module, list[Tensor]]:
        torch.manual_seed(shape.seed)
        module = target.build(shape).to(device.where)
        return module, [x.to(device.where) for x in target.inputs(shape)]

    with own_mistakes(target, shape):
        module, inputs = made()
        again = Remade(made, shape, 0.0 if isinstance(target, SchemeTarget) or not memory else PATIENCE_S)
        return measure(
            module, inputs, pass_, device, budget_s=budget_s, memory=memory, floor=floor, began=began, again=again
        )


def measure(
    module: nn.Module,
    inputs: Sequence[Tensor],
    pass_: Pass,
    device: Device,
    *,
    budget_s: float | None,
    memory: bool = True,
    floor: int = FLOOR,
    began: float | None = None,
    again: Remade | None = None,
) -> Outcome:
    """Measure one pass of a module that is on its device with its inputs; `began` is when its making began.

    Memory first (its runs warm the caches and workspaces), then time, then energy where there is a counter. `again`
    makes the module and its first inputs anew, against which the timed runs are held.
    """
    from attnprof.measure.integrity import Vary, kept
    from attnprof.measure.memory import peak
    from attnprof.measure.passes import passage
    from attnprof.measure.sampling import sample

    clock, sensors = device.clock(), device.sensors()
    budget = NO_BUDGET_S if budget_s is None else budget_s
    began = now() if began is None else began
    ready = passage(module, inputs, pass_, again.shape.seed if again else 0)
    first = kept(ready.left()) if again else ()
    setup_s = now() - began
    held = peak(ready, device) if memory else None
    vary = Vary(inputs)
    prepare = _in_order(vary, ready.before, device.flush())
    faults = page_faults()
    samples = sample(ready.steps, clock, budget_s=budget, floor=floor, before=prepare, warmed=True)
    timed = ready.left() if again else ()
    promptly = kept(timed)
    warned = _warnings(device, sensors) | paged(faults, page_faults(), sum(map(sum, samples.laps)))
    clock_mhz = sensors.clock_mhz()
    if again:
        again.wait(timed, promptly)
    del timed
    used = _energy(ready, clock, sensors, samples, budget)
    ready.after()
    measured = replace(_measured(ready, samples, held, used, clock_mhz, clock), setup_s=setup_s)
    flags = _flags(samples, used, warned)
    if again:
        flags += again.judged(
            module, inputs, pass_, first, promptly, costly_s=max(samples.total().median, setup_s / 4), varied=vary.any
        )
    return Outcome(measured, {**_reasons(measured, sensors, used, pass_, memory=memory), **warned}, flags)


@dataclass(frozen=True)
class Remade:
    """How a target and its first inputs are made anew, and the seconds in which what is still to come may come."""

    made: Callable[[], tuple[nn.Module, list[Tensor]]]
    shape: Shape
    patience_s: float = 0.0

    def wait(self, timed: Sequence[Tensor], promptly: Sequence[Tensor]) -> None:
        """Raise `Failed` where results change after the clock has stopped."""
        from attnprof.measure.integrity import kept, refuse_late

        if self.patience_s:
            sleep(self.patience_s)
            refuse_late(promptly, kept(timed))

    def judged(
        self,
        module: nn.Module,
        inputs: Sequence[Tensor],
        pass_: Pass,
        first: Sequence[Tensor],
        timed: Sequence[Tensor],
        *,
        costly_s: float,
        varied: bool,
    ) -> tuple[str, ...]:
        """Hold what timed runs left against new modules: one with its weights and inputs, one as it was at first."""
        from attnprof.measure.integrity import judge

        weights = module.state_dict()
        fresh = lambda: self._run(pass_, weights, inputs)  # noqa: E731
        again = None if costly_s > AGAIN_S else lambda: self._run(pass_)
        return judge(first, timed, fresh, again, self.shape.dtype, varied=varied)

    def _run(
        self, pass_: Pass, weights: Mapping[str, object] | None = None, inputs: Sequence[Tensor] = ()
    ) -> tuple[Tensor, ...]:
        """What a new module leaves: with these weights on these inputs, or as it is made."""
        from attnprof.measure.integrity import kept
        from attnprof.measure.passes import passage

        module, firsts = self.made()
        if weights is not None:
            module.load_state_dict(weights)
        ready = passage(module, inputs or firsts, pass_, self.shape.seed)
        if weights is not None and pass_ == Pass.TRAIN:
            ready.run()
        return kept(ready.left())


def paged(before: int | None, after: int | None, seconds: float) -> dict[str, str]:
    """The flag `page_faults` where giving memory took a good part of the time that was sampled."""
    count = 0 if before is None or after is None else after - before
    if count * FAULT_S <= FAULTS_SHARE * seconds:
        return {}
    return {"page_faults": f"the kernel handed out {count} pages of memory while it was timed"}


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
    memory: AllocatorPeak | None,
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
        peak_bytes=memory.peak_bytes if memory else None,
        reserved_bytes=memory.reserved_bytes if memory else None,
        energy_j=used.joules,
        clock_mhz=clock_mhz,
        threads=torch.get_num_threads(),
        method=f"time: {clock.name}" + (f"; memory: {memory.method}" if memory else ""),
    )


def _reasons(measured: Measured, sensors: Sensors, used: Energy, pass_: Pass, *, memory: bool) -> dict[str, str]:
    why = {
        "peak_bytes": "" if memory else "memory is read in the first round",
        "forward_s": f"a {pass_} pass is not split",
        "backward_s": f"a {pass_} pass has no backward",
        "saved_bytes": f"a {pass_} pass keeps nothing for a backward",
        "reserved_bytes": "the CPU allocator reserves nothing",
        "energy_j": used.reason or "",
        "clock_mhz": sensors.reasons.get("clock_mhz", "no sensor"),
    }
    return {name: reason for name, reason in why.items() if reason and getattr(measured, name) is None}


def _flags(samples: Samples, used: Energy, warned: dict[str, str]) -> tuple[str, ...]:
    short = ("energy_short",) if used.short and used.joules is not None else ()
    return (*samples.flags, *short, *warned)
