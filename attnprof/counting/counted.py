"""The static cost of one point: one run on fake tensors, every operator and every storage accounted for."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from functools import partial

from attnprof.contracts import SchemeTarget, Target
from attnprof.counting.added import Counted, count_layers
from attnprof.counting.believed import TooLong, memory, no_origin, observe, usual_origin
from attnprof.counting.built import Built
from attnprof.counting.continued import FIRST, STEP, TILED_STEP, continued, is_tiled, lengths
from attnprof.counting.decode_step import OF_BLOCKS, refuse_decoding, stated_sizes, stated_state
from attnprof.counting.paper_formula import paper_flops
from attnprof.counting.running import CountedRun, has_fast_path
from attnprof.counting.useful import recurrence_flops, useful_flops
from attnprof.errors import Unsupported
from attnprof.layered_target import LayeredTarget
from attnprof.records import Cost
from attnprof.shapes import Shape
from attnprof.usercode import UserCode, own_mistakes, remarks
from attnprof.words import Level, Pass


def count(target: Target, shape: Shape, pass_: Pass, *, core: bool = True, second_opinion: bool = False) -> Counted:
    """What one pass of a target must cost: FLOPs, operations and bytes, with the certificate of the total.

    `forward` keeps no graph; `train` is forward and backward, the input's gradient included; `decode` is one query
    against the state of n tokens. Nothing is allocated, but for a user's own code: it is run once for real at a small
    length, and counted so where fake tensors mislead. `second_opinion` asks fvcore too, which takes longer than the
    count. Raises `Unsupported` where the target has no such pass.
    """
    pass_ = Pass(pass_)
    if isinstance(target, LayeredTarget):
        return count_layers(target, shape, pass_, partial(count, core=core))
    if pass_ is Pass.DECODE:
        refuse_decoding(target, shape)
    try:
        counted = counted_run(target, shape, pass_, core=core)
    except TooLong as refused:
        assert isinstance(target, UserCode)
        counted = beyond(target, shape, pass_, refused, core=core)
    except Unsupported as error:
        stated = stated_state(target, shape) if pass_ is Pass.DECODE else None
        if stated is None:
            raise
        return Counted(stated, {"cost": f"{error.message}, but its state is stated; {error.hint}"})
    return with_second_opinion(counted, target, shape, pass_) if second_opinion else counted


def counted_run(target: Target, shape: Shape, pass_: Pass, *, core: bool) -> Counted:
    """The cost by one run, with what was seen of a user's code before."""
    with own_mistakes(target, shape):
        seen = observe(target, shape, pass_, usual_origin if core else no_origin, once=True)
        fast = ("mha_fast_path_off",) if has_fast_path(seen.built) else ()
        counted = record(target, seen.built, shape, pass_, seen.run, core, fast)
    if not isinstance(target, UserCode):
        return Counted(counted.cost, {**counted.reasons, **seen.reasons}, (*counted.flags, *seen.flags))
    reasons = {**counted.reasons, **seen.reasons, **target.mixing(shape).reasons}
    return Counted(counted.cost, reasons, (*counted.flags, *seen.flags, *remarks(target, shape)))


def beyond(target: UserCode, shape: Shape, pass_: Pass, refused: TooLong, *, core: bool) -> Counted:
    """The cost at a length that no real run fits, by interpolation through shorter ones. Raises `TooLong` without."""
    known = memory(target).costs

    def at(n: int) -> Counted:
        key = shape.replace(n=n), pass_, core
        if key not in known:
            known[key] = counted_run(target, shape.replace(n=n), pass_, core=core)
        return known[key]

    first = at(FIRST * STEP)
    step = TILED_STEP if is_tiled(first.cost) else STEP
    near = lengths(shape.n, step, refused)
    costs = {n: at(n).cost for n in near}
    with contextlib.suppress(TooLong):
        costs[2 * near[-1]] = at(2 * near[-1]).cost  # one more that must agree, far from the others
    cost, reasons = continued(costs, shape.n)
    if cost.peak_bytes is None and cost.flops_executed is None:
        raise refused
    flags = dict.fromkeys((*first.flags, "interpolated"))
    return Counted(cost, {**first.reasons, **reasons}, tuple(flags))


def record(
    target: Target, built: Built, shape: Shape, pass_: Pass, run: CountedRun, core: bool, flags: tuple[str, ...]
) -> Counted:
    """The run as a `Cost` with its reasons."""
    tally, reasons = run.tally, {}
    if not run.state:
        try:
            run.state.update(stated_sizes(built, shape.n))
        except Unsupported as error:
            of_blocks = isinstance(target, SchemeTarget) and shape.level == Level.BLOCK
            reasons["state_bytes"] = OF_BLOCKS if of_blocks else error.message
    complete = not tally.uncounted
    if not complete:
        names = tally.why_uncounted()
        without = uncounted_message(names)
        reasons |= dict.fromkeys(("flops_executed", "flops_core_executed", "selection_flops"), without)
    useful, why = useful_flops(target, shape, pass_)
    if why:
        reasons["flops_core_useful"] = why
    paper, why = paper_flops(target, shape, pass_)
    if why:
        reasons["flops_paper"] = why
    if not core:
        reasons.setdefault("flops_core_executed", "left out of this count: it was called with core=False")
    cost = Cost(
        flops_executed=tally.flops if complete else None,
        flops_core_executed=tally.core if complete and core else None,
        recurrence_flops=recurrence_flops(target, shape, pass_),
        selection_flops=tally.selection if complete else None,
        flops_core_useful=useful,
        flops_paper=paper,
        exp_ops=tally.exp_ops,
        arith_ops=tally.arith_ops,
        select_ops=tally.select_ops,
        saved_bytes=run.saved_bytes,
        peak_bytes=run.lives.peak,
        param_grad_bytes=run.param_grad_bytes,
        param_bytes=built.param_bytes,
        buffer_bytes=built.buffer_bytes,
        moved_bytes=tally.moved_bytes,
        method=f"dispatch on {'real' if built.mode is None else 'fake'} tensors",
        certificate=tally.certificate(run.recomputes),
        state_bytes=run.state.get("state_bytes"),
        state_growth_bytes=run.state.get("state_growth_bytes"),
        decode_read_bytes=run.state.get("decode_read_bytes"),
    )
    return Counted(cost, reasons, (*flags, "workspace_unknown") if tally.unseen else flags)


def with_second_opinion(counted: Counted, target: Target, shape: Shape, pass_: Pass) -> Counted:
    """The same with fvcore's figure, and a flag where it disagrees."""
    from attnprof.counting.second_opinion import second_opinion

    certificate = counted.cost.certificate
    if certificate and certificate.backend != "eager":
        figure, why = None, "fvcore counts fused attention as nothing"
    else:
        figure, why = second_opinion(target, shape, pass_)
    reasons = {**counted.reasons, "second_opinion": why} if why else counted.reasons
    differs = figure is not None and figure != counted.cost.flops_executed
    flags = (*counted.flags, "second_opinion_differs") if differs else counted.flags
    return Counted(replace(counted.cost, second_opinion={"fvcore": figure}), reasons, flags)


def uncounted_message(names: str) -> str:
    """Why there is no total, and what to do about it."""
    return (
        f"no formula is known for {names}, so a total would be too small; register one with "
        f"`@attnprof.counting.register(torch.ops.<namespace>.<op>)`"
    )
