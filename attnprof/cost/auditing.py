"""What the installed FLOP counters say of a target, beside the exact count, each disagreement explained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from attnprof.cost.counters import COUNTERS, OtherCounter, quiet
from attnprof.cost.counting import count
from attnprof.cost.explain import Exact, explain
from attnprof.errors import AttnprofError
from attnprof.model import Shape
from attnprof.scheme import Target
from attnprof.usercode import own_mistakes
from attnprof.words import Pass


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


def exact_of(target: Target, shape: Shape, pass_: Any) -> Exact:
    """The exact count of one pass."""
    counted = count(target, shape, pass_)
    if counted.cost.flops_executed is None:
        raise AttnprofError(f"{target.name} has no exact count to compare with", hint=counted.reasons["flops_executed"])
    return Exact.of(counted.cost, shape, pass_)


def row(counter: OtherCounter, version: str, target: Target, shape: Shape, exact: dict[Pass, Exact]) -> AuditRow:
    """What one counter says of both passes."""
    passes = (Pass.FORWARD, Pass.TRAIN) if counter.trains else (Pass.FORWARD,)
    figures: dict[Pass, int | None] = {Pass.FORWARD: None, Pass.TRAIN: None}
    statuses, reasons = [], []
    for pass_ in passes:
        figures[pass_], status, why = _one(counter, target, shape, pass_, exact[pass_])
        statuses.append(status)
        if why:
            reasons.append(f"{pass_}: {why}")
    if not counter.trains:
        reasons.append("train: it counts no backward")
    status = next((s for s in ("failed", "differs") if s in statuses), "agrees")
    return AuditRow(counter.name, version, figures[Pass.FORWARD], figures[Pass.TRAIN], status, "; ".join(reasons))


def _one(counter: OtherCounter, target: Target, shape: Shape, pass_: Pass, exact: Exact) -> tuple[int | None, str, str]:
    with own_mistakes(target, shape):
        module, inputs = target.build(shape), target.inputs(shape)
    module.train(pass_ == Pass.TRAIN)
    try:
        with quiet(), torch.random.fork_rng(devices=[]):
            figure = counter.tally(pass_)(module, inputs)
    except Exception as error:  # whatever another tool raises is a finding about that tool
        text = str(error).splitlines()[0][:120] if str(error) else ""
        return None, "failed", f"it crashes: {type(error).__name__}: {text}"
    return figure, *explain(figure, exact)
