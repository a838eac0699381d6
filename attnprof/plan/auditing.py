"""What the installed FLOP counters say of a target, beside the exact count, each disagreement explained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor, nn

from attnprof.contracts import Target
from attnprof.counting.counted import count
from attnprof.counting.counter import OperatorCounter, Rule
from attnprof.counting.formulas_convolution import asked
from attnprof.counting.origin import Origin
from attnprof.counting.running import slow_path
from attnprof.counting.storages import Lifetimes
from attnprof.counting.tally import OperatorTally
from attnprof.errors import AttnprofError
from attnprof.plan.counters import COUNTERS, CounterReading, OtherCounter
from attnprof.plan.explain import Exact, Ran, by_operators, by_trace, by_traits, fast_path, unexplained
from attnprof.plan.habits import Traits, probed
from attnprof.shapes import Shape
from attnprof.torch_private import Arguments, Keywords
from attnprof.usercode import own_mistakes
from attnprof.words import Pass

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


@dataclass(frozen=True, slots=True)
class AuditRow:
    """One counter: FLOPs (multiply-add = 2) of the forward and of a training pass; `why` for what is not exact."""

    counter: str
    version: str
    forward: int | None
    train: int | None
    status: str
    why: str


@dataclass(frozen=True, slots=True)
class Audit:
    """The exact FLOPs by pass, a row for each installed counter, and those that are not installed."""

    exact: dict[str, int]
    rows: tuple[AuditRow, ...]
    absent: tuple[str, ...]


def audited(target: Target, shape: Shape, counters: Sequence[OtherCounter] = COUNTERS) -> Audit:
    """Run every installed counter on the target, on a CPU and on real tensors: choose n so that the target fits.

    A counter that crashes is a row that says so. Raises `AttnprofError` where the exact count is not complete.
    """
    exact = {pass_: exact_of(target, shape, pass_) for pass_ in (Pass.FORWARD, Pass.TRAIN)}
    present = [(counter, version) for counter in counters if (version := counter.version)]
    rows = [row(counter, version, target, shape, exact) for counter, version in present]
    absent = [counter.name for counter in counters if counter.version is None]
    return Audit({name: parts.total for name, parts in exact.items()}, tuple(rows), tuple(absent))


def exact_of(target: Target, shape: Shape, pass_: Pass) -> Exact:
    """The exact count of one pass."""
    counted = count(target, shape, pass_)
    if counted.cost.flops_executed is None:
        raise AttnprofError(f"{target.name} has no exact count to compare with", hint=counted.reasons["flops_executed"])
    return Exact.of(counted.cost, shape, pass_)


def row(counter: OtherCounter, version: str, target: Target, shape: Shape, exact: Mapping[Pass, Exact]) -> AuditRow:
    """What one counter says of both passes."""
    passes: tuple[Pass, ...] = (Pass.FORWARD, Pass.TRAIN) if counter.train else (Pass.FORWARD,)
    figures: dict[str, int | None] = {"forward": None, "train": None}
    statuses, reasons = [], []
    for pass_ in passes:
        figures[pass_], status, why = _one(counter, target, shape, pass_, exact[pass_])
        statuses.append(status)
        if why:
            reasons.append(f"{pass_}: {why}")
    if not counter.train:
        reasons.append("train: it counts no backward")
    status = next((s for s in ("failed", "differs") if s in statuses), "agrees")
    return AuditRow(counter.name, version, figures["forward"], figures["train"], status, "; ".join(reasons))


def _one(counter: OtherCounter, target: Target, shape: Shape, pass_: Pass, exact: Exact) -> tuple[int | None, str, str]:
    module, inputs = _made(target, shape, pass_)
    try:
        reading = _read(counter, module, inputs, pass_)
    except Exception as error:  # whatever another tool raises is a finding about that tool
        text = str(error).splitlines()[0][:120] if str(error) else ""
        return None, "failed", f"it crashes: {type(error).__name__}: {text}"
    if reading.flops == exact.total:
        return reading.flops, "agrees", ""
    return reading.flops, "differs", _why(counter, reading, target, shape, pass_, exact)


def _made(target: Target, shape: Shape, pass_: Pass) -> tuple[nn.Module, tuple[object, ...]]:
    """The target on real tensors, in the mode of a pass, and its inputs."""
    with own_mistakes(target, shape):
        return target.build(shape).train(pass_ == Pass.TRAIN), target.inputs(shape)


def _read(counter: OtherCounter, module: nn.Module, inputs: tuple[object, ...], pass_: Pass) -> CounterReading:
    with torch.random.fork_rng(devices=[]):
        return counter.read(pass_, module, inputs)


def _why(
    counter: OtherCounter, reading: CounterReading, target: Target, shape: Shape, pass_: Pass, exact: Exact
) -> str:
    """The cause of a difference: operators that the counter names, its habits, or what it says off the fast path."""
    module, inputs = _made(target, shape, pass_)
    ran = what_ran(module, inputs, pass_)
    traits = None if counter.names else habits(counter)
    if counter.names == "torch":
        found = by_operators(reading, exact, ran)
    elif counter.names == "trace":
        found = by_trace(reading, exact)
    else:
        found = by_traits(reading.flops, exact, habits(counter), known_modules(module, habits(counter)))
    if not found and ran.fast_path:
        found = _off_the_fast_path(counter, reading, ran, target, shape, pass_)
    return found or unexplained(reading.flops, exact, traits)


def _off_the_fast_path(
    counter: OtherCounter, reading: CounterReading, ran: Ran, target: Target, shape: Shape, pass_: Pass
) -> str:
    with slow_path():
        without = _read(counter, *_made(target, shape, pass_), pass_).flops
    return "" if without == reading.flops else fast_path(ran, without)


@cache
def habits(counter: OtherCounter) -> Traits:
    """What a counter does on modules of one product."""
    return probed(lambda module, inputs: counter.read(Pass.FORWARD, module, inputs).flops)


def known_modules(module: nn.Module, traits: Traits) -> bool:
    """Whether some part is a module that counters of modules know; `nn.MultiheadAttention` runs none of its parts."""
    for part in module.modules():
        inside = isinstance(part, nn.MultiheadAttention)
        if (inside and traits.multihead != 0) or type(part) is nn.Linear:
            return True
        if isinstance(part, (nn.Bilinear, nn.RNNBase, *CONVOLUTIONS)):
            return True
    return False


class _Watch(OperatorCounter):
    """Notes what the weights' gradients of grouped convolutions would cost if groups were ignored."""

    def __init__(self) -> None:
        super().__init__(OperatorTally(), Lifetimes(), Origin())
        self.ungrouped: dict[int, int] = {}

    def _count(self, rule: Rule, args: Arguments, kwargs: Keywords, out: object) -> int | None:
        flops = super()._count(rule, args, kwargs, out)
        if flops is not None and rule.name == "convolution_backward" and args[9] > 1 and args[10][1]:
            one = flops // asked(args[10])
            self.ungrouped[args[9]] = self.ungrouped.get(args[9], 0) + (args[9] - 1) * one
        return flops


def what_ran(module: nn.Module, inputs: tuple[object, ...], pass_: Pass) -> Ran:
    """The products of a pass on real tensors, as torch runs it by itself: with its fused path for inference."""
    watch = _Watch()
    if pass_ == Pass.FORWARD:
        with torch.no_grad(), watch:
            module(*inputs)
    else:
        leaves = [x.detach().requires_grad_() if isinstance(x, Tensor) and x.is_floating_point() else x for x in inputs]
        with watch:
            out = module(*leaves)
            torch.autograd.backward(out, torch.ones_like(out))
    counted = watch.tally.counted.items()
    return Ran({name: line.flops for name, line in counted if line.flops}, watch.ungrouped)
