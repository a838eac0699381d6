"""The cost of a stack: each kind of its layers counted once and added; its peak by the lifetimes of the whole."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from attnprof.contracts import Target
from attnprof.counting.believed import observe, why_not_traced
from attnprof.counting.paper_formula import paper_flops
from attnprof.counting.useful import recurrence_flops, useful_flops
from attnprof.errors import AttnprofError, Unsupported
from attnprof.layered_target import LayeredTarget, StackPart
from attnprof.records import Certificate, Cost, JsonDict, OpCount
from attnprof.shapes import Shape
from attnprof.words import Level, PartRole, Pass

MOST_WHOLE = 512  # layers: more are not built as one module, at about 15 ms each

SUMS = (
    *("flops_executed", "flops_core_executed", "exp_ops", "arith_ops", "select_ops"),
    *("selection_flops", "saved_bytes"),
    *("param_grad_bytes", "param_bytes", "buffer_bytes"),
)
OF_MIXERS = ("flops_core_useful", "flops_paper", "state_bytes", "state_growth_bytes")
READS, RECURRENCE = "decode_read_bytes", "recurrence_flops"
OF_CORES = "the cores of a stack are run one by one: no module has them all"


@dataclass(frozen=True, slots=True)
class Counted:
    """A cost, the reason for each figure that is missing, and what a reader should know of the run."""

    cost: Cost
    reasons: Mapping[str, str] = field(default_factory=dict)
    flags: tuple[str, ...] = ()


CountPart = Callable[[Target, Shape, Pass], Counted]


class CountedPart(NamedTuple):
    """A part of a stack and what it costs once."""

    part: StackPart
    counted: Counted


def count_parts(target: LayeredTarget, shape: Shape, pass_: Pass, count: CountPart) -> list[CountedPart]:
    """What each part costs once. Raises `Unsupported` that names the layer which has no such pass or shape."""
    return [CountedPart(part, _once(part, pass_, count)) for part in target.parts(shape)]


def _once(part: StackPart, pass_: Pass, count: CountPart) -> Counted:
    try:
        counted = count(part.target, part.shape, pass_)
    except AttnprofError as error:
        kind = Unsupported if isinstance(error, Unsupported) else AttnprofError
        raise kind(f"in the layer `{part.label}`: {error.message}", hint=error.hint) from error
    if part.shares_weights:
        cost = replace(counted.cost, param_bytes=0, param_grad_bytes=0, buffer_bytes=0)
        counted = replace(counted, cost=cost)
    if part.states is None:
        return counted
    return _borrowed(part, part.states, pass_, counted)


def _borrowed(part: StackPart, states: Target, pass_: Pass, counted: Counted) -> Counted:
    """Of a layer that reads another's keys and values: its pattern's figures are its scheme's, and it keeps nothing."""
    useful, why_useful = useful_flops(states, part.shape, pass_)
    paper, why_paper = paper_flops(states, part.shape, pass_)
    kv = part.shape.batch * part.shape.groups * part.shape.n * (part.shape.d + part.shape.d_v)
    buffers = None if counted.cost.buffer_bytes is None else counted.cost.buffer_bytes - kv * part.shape.dtype.bytes
    cost = replace(
        counted.cost,
        flops_core_useful=useful,
        flops_paper=paper,
        recurrence_flops=recurrence_flops(states, part.shape, pass_),
        buffer_bytes=buffers,
        state_bytes=0,
        state_growth_bytes=0,
    )
    own = {"flops_core_useful": why_useful, "flops_paper": why_paper}
    kept = {key: why for key, why in counted.reasons.items() if key not in (*own, "state_bytes")}
    return replace(counted, cost=cost, reasons=kept | {key: why for key, why in own.items() if why})


def count_layers(target: LayeredTarget, shape: Shape, pass_: Pass, count: CountPart) -> Counted:
    """The sums over all layers; with the peak of the whole module, or why it is not known."""
    found = count_parts(target, shape, pass_, count)
    values, reasons = summed(found)
    whole, why = _whole(target, shape, pass_)
    if whole is not None:
        values |= whole
    else:
        reasons |= dict.fromkeys(("peak_bytes", "moved_bytes"), why)
    method = f"added over {len(found)} parts, each counted once"
    cost = Cost(**values, method=method, certificate=_certificate(found))
    return Counted(cost, reasons, tuple(dict.fromkeys(flag for each in found for flag in each.counted.flags)))


def summed(found: Sequence[CountedPart]) -> tuple[JsonDict, dict[str, str]]:
    """The figures that add up, over some parts, and why some are missing: what one layer lacks, the sum lacks."""
    values: JsonDict = {}
    reasons: dict[str, str] = {}
    for name in (*SUMS, *OF_MIXERS, READS):
        of = [each for each in found if name in SUMS or each.part.role is PartRole.MIXER]
        total = 0
        for part, counted in of:
            one = getattr(counted.cost, name)
            if one is None:
                why = counted.reasons.get(name) or counted.reasons.get("cost")
                if why:
                    reasons.setdefault(name, f"{part.label}: {why}")
                break
            total += part.times * one
        else:
            values[name] = total if of else None
    steps = [(each.part.times, each.counted.cost.recurrence_flops) for each in found]
    known = [times * flops for times, flops in steps if flops is not None]  # attention has none, and lacks none
    values[RECURRENCE] = sum(known) if known else None
    return values, reasons


def _whole(target: LayeredTarget, shape: Shape, pass_: Pass) -> tuple[dict[str, object] | None, str]:
    """What only the whole module shows: its peak, what handed-on gradients move, what layers share; or why not."""
    why = why_not_whole(target, shape)
    if why:
        return None, why
    try:
        seen = observe(target, shape, pass_)
    except Unsupported as error:
        return None, f"of the whole module: {error.message}"
    figures: dict[str, object] = {"peak_bytes": seen.run.lives.peak, "moved_bytes": seen.run.tally.moved_bytes}
    figures |= {"param_bytes": seen.built.param_bytes, "buffer_bytes": seen.built.buffer_bytes}
    figures |= {"param_grad_bytes": seen.run.param_grad_bytes}
    if target.owners() or any(part.shares_weights for part in target.parts(shape)):  # whose gradients are added up
        figures |= {"arith_ops": seen.run.tally.arith_ops}
    return figures, ""


def why_not_whole(target: LayeredTarget, shape: Shape) -> str:
    """Why a stack is not counted as one module on fake tensors; empty where it is."""
    if shape.level is Level.CORE:
        return OF_CORES
    if target.layers > MOST_WHOLE:
        return f"{target.layers} layers are not counted as one module: up to {MOST_WHOLE} are"
    for part in target.parts(shape):
        why = why_not_traced(part.target, part.shape)
        if why:
            return f"in the layer `{part.label}`: {why}"
    return ""


def _certificate(found: Iterable[CountedPart]) -> Certificate:
    """The operators of all layers, and all that they rest on."""
    held = [(each.part.times, each.counted.cost.certificate) for each in found]
    known = [(times, certificate) for times, certificate in held if certificate is not None]
    tiles = dict.fromkeys(certificate.tile for _, certificate in known if certificate.tile)
    backends = dict.fromkeys(c.backend for _, c in known if c.backend and c.backend != "eager")
    return Certificate(
        counted=_lines((times, certificate.counted) for times, certificate in known),
        uncounted=_lines((times, certificate.uncounted) for times, certificate in known),
        backend=", ".join(backends) or "eager",
        tile="; ".join(tiles) or None,
        convention=max((certificate.convention for _, certificate in known), key=len, default=""),
        unknown_workspaces=tuple(dict.fromkeys(name for _, c in known for name in c.unknown_workspaces)),
    )


def _lines(lists: Iterable[tuple[int, Sequence[OpCount]]]) -> tuple[OpCount, ...]:
    calls: dict[str, int] = {}
    flops: dict[str, int] = {}
    for times, lines in lists:
        for line in lines:
            calls[line.op] = calls.get(line.op, 0) + times * line.calls
            flops[line.op] = flops.get(line.op, 0) + times * line.flops
    return tuple(OpCount(op, calls[op], flops[op]) for op in sorted(calls))
