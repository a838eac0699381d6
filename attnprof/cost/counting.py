"""The static cost of one point: one run on fake tensors, every operator and every storage accounted for."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from attnprof.cost.built import Built, built_once, tensors_in
from attnprof.cost.counter import Counter
from attnprof.cost.decode import OF_BLOCKS, one_step, refuse_decoding, state_sizes, stated_state
from attnprof.cost.flex_masks import counted_flex
from attnprof.cost.origin import Origin
from attnprof.cost.paper import paper_flops
from attnprof.cost.saved import kept_by_graph
from attnprof.cost.storages import Lifetimes, unique_bytes
from attnprof.cost.tally import Tally
from attnprof.cost.useful import useful_flops
from attnprof.errors import AttnprofError, Unsupported
from attnprof.model import Cost, Shape
from attnprof.scheme import SchemeTarget, Target
from attnprof.words import Level, Pass

NUMBER_BYTES = 16


@dataclass(frozen=True, slots=True)
class Counted:
    """A cost, the reason for each figure that is missing, and what a reader should know of the run."""

    cost: Cost
    reasons: Mapping[str, str] = field(default_factory=dict)
    flags: tuple[str, ...] = ()


@dataclass(slots=True)
class Run:
    """One counted pass before it is put into a record."""

    tally: Tally
    lives: Lifetimes
    saved_bytes: int = 0
    param_grad_bytes: int = 0
    state: dict[str, int] = field(default_factory=dict)
    recomputes: bool = False
    forward_flops: Any = 0
    forward_core: Any = 0
    calls: int = 0
    output_bytes: int = 0
    kept: dict[int, Any] = field(default_factory=dict)
    gradients: dict[int, Any] = field(default_factory=dict)


def count(target: Target, shape: Shape, pass_: Pass, *, core: bool = True, second_opinion: bool = False) -> Counted:
    """What one pass of a target must cost: FLOPs, operations and bytes, with the certificate of the total.

    `forward` keeps no graph; `train` is forward and backward, the input's gradient included; `decode` is one query
    against the state of n tokens. Nothing is allocated. `second_opinion` asks fvcore too, which takes longer than the
    count. Raises `Unsupported` where the target has no such pass.
    """
    pass_ = Pass(pass_)
    if pass_ is Pass.DECODE:
        refuse_decoding(target, shape)
    try:
        built = built_once(target, shape)
    except Unsupported as error:
        stated = stated_state(target, shape) if pass_ is Pass.DECODE else None
        if stated is None:
            raise
        return Counted(stated, {"cost": f"{error.message}, but its state is stated; {error.hint}"})
    flags = ("mha_fast_path_off",) if has_fast_path(built) else ()
    run = run_pass(built, shape, pass_, built.origin(shape) if core else Origin())
    counted = record(target, built, shape, pass_, run, core, flags)
    return with_second_opinion(counted, target, shape, pass_) if second_opinion else counted


def run_pass(built: Built, shape: Shape, pass_: Pass, origin: Origin) -> Run:
    """Run one pass under the counter."""
    Counter.calibrate()
    pass_ = Pass(pass_)
    built.module.train(pass_ == Pass.TRAIN)
    try:
        with slow_path(), counted_flex(built.values), built.mode:
            if pass_ == Pass.DECODE:
                sizes = state_sizes(built, shape.n)
                tally, lives, read = one_step(built, shape.n, origin)
                return Run(tally, lives, state={**sizes, "decode_read_bytes": read})
            run = _once(built, pass_, origin)
            if any(run.lives.made(t) for t in attributes(built)):
                run = _once(built, pass_, origin)  # tables that the first pass made live before every later one
            run.recomputes = pass_ == Pass.TRAIN and recomputed(run)
    finally:
        origin.close()
    return run


def _once(built: Built, pass_: Pass, origin: Origin) -> Run:
    run = Run(Tally(), Lifetimes())
    lived = [*built.module.parameters(), *built.module.buffers(), *attributes(built), *tensors_in(built.inputs)]
    run.lives.before(lived)
    counter = Counter(run.tally, run.lives, origin, built.mode)
    if pass_ == Pass.TRAIN:
        train(built, run, counter)
    else:
        with torch.no_grad(), counter:
            built.module(*built.inputs)
    run.calls = counter.calls
    return run


def train(built: Built, run: Run, counter: Counter) -> None:
    """Forward and backward under a counter, noting what the forward alone costs and what it leaves for backward."""
    inputs = tuple(_leaf(x) for x in built.inputs)
    with torch.enable_grad(), counter:
        result = built.module(*inputs)
    results = tensors_in(result)
    output = first_output(results)
    kept = kept_storages(built, run.lives, output, results)
    run.saved_bytes = sum(kept.values())
    del result, results
    grad = torch.empty_like(output)
    run.lives.before([grad])
    run.output_bytes = unique_bytes([grad])
    run.kept = {id(life): life for key, life in run.lives.known.items() if key in kept}
    run.forward_flops, run.forward_core = run.tally.flops, run.tally.core
    with counter:
        torch.autograd.backward(output, grad)
    grads = [p.grad for p in built.module.parameters() if p.grad is not None]
    run.param_grad_bytes = unique_bytes(grads)
    run.gradients = {id(life): life for g in grads if (life := run.lives.known.get(g.untyped_storage()._cdata))}
    built.module.zero_grad(set_to_none=True)


def recomputed(run: Run) -> bool:
    """Whether backward did some of the forward again: a fused kernel, or a checkpoint."""
    return bool(run.tally.backends) or run.tally.flops > 3 * run.forward_flops


def first_output(results: list[Tensor]) -> Tensor:
    """The result that a loss would be made of: the first floating-point tensor. Raises `AttnprofError` without one."""
    found = next((t for t in results if t.is_floating_point() or t.is_complex()), None)
    if found is None:
        raise AttnprofError(
            "the module returns no floating-point tensor",
            hint="return a tensor, or a tuple that starts with the output",
        )
    if not found.requires_grad:
        raise AttnprofError(
            "the module's output does not depend on its inputs or parameters, so there is nothing to train",
            hint="ask for --pass forward",
        )
    return found


def _leaf(x: Any) -> Any:
    if isinstance(x, Tensor) and x.is_floating_point():
        return x.detach().requires_grad_()
    return x


def kept_storages(built: Built, lives: Lifetimes, output: Tensor, results: list[Tensor]) -> dict[int, int]:
    """Bytes of each storage that waits for backward: what the graph holds, and whatever else the forward left alive.

    Neither parameters nor registered buffers, which live anyway, nor Python numbers; not the result, unless the graph
    holds it too.
    """
    ours = {t.untyped_storage()._cdata for t in (*built.module.parameters(), *built.module.buffers())}
    graph = kept_by_graph([output])
    numbers = {key for key in graph if not lives.knows(key) and graph[key] <= NUMBER_BYTES}
    kept = {key: size for key, size in graph.items() if key not in ours and key not in numbers}
    known = {*kept, *(t.untyped_storage()._cdata for t in (*results, *attributes(built)))}
    if any(key not in known for key in lives.alive()):
        gc.collect()
    kept.update({key: size for key, size in lives.alive().items() if key not in known})
    return kept


def attributes(built: Built) -> list[Tensor]:
    """Tensors that modules hold as plain attributes: caches, which outlive the pass."""
    return [t for part in built.module.modules() for t in tensors_in(list(vars(part).values()))]


def record(
    target: Target, built: Built, shape: Shape, pass_: Pass, run: Run, core: bool, flags: tuple[str, ...]
) -> Counted:
    """The run as a `Cost` with its reasons."""
    tally, reasons = run.tally, {}
    if not run.state:
        try:
            run.state.update(state_sizes(built, shape.n))
        except Unsupported as error:
            of_blocks = isinstance(target, SchemeTarget) and shape.level == Level.BLOCK
            reasons["state_bytes"] = OF_BLOCKS if of_blocks else error.message
    complete = not tally.uncounted
    if not complete:
        names = tally.why_uncounted()
        reasons["flops_executed"] = reasons["flops_core_executed"] = uncounted_message(names)
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
        method="dispatch on fake tensors",
        certificate=tally.certificate(run.recomputes),
        state_bytes=run.state.get("state_bytes"),
        state_growth_bytes=run.state.get("state_growth_bytes"),
        decode_read_bytes=run.state.get("decode_read_bytes"),
    )
    return Counted(cost, reasons, (*flags, "workspace_unknown") if tally.unseen else flags)


def with_second_opinion(counted: Counted, target: Target, shape: Shape, pass_: Pass) -> Counted:
    """The same with fvcore's figure, and a flag where it disagrees."""
    from attnprof.cost.second_opinion import second_opinion

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
        f"`@attnprof.cost.register(torch.ops.<namespace>.<op>)`"
    )


@contextmanager
def slow_path() -> Iterator[None]:
    """Keep `nn.MultiheadAttention` from its fused inference path, whose buffers nobody sees."""
    enabled = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(enabled)


def has_fast_path(built: Built) -> bool:
    """Whether the module has a part with a fused inference path of its own."""
    kinds = (torch.nn.MultiheadAttention, torch.nn.TransformerEncoderLayer)
    return torch.backends.mha.get_fastpath_enabled() and any(isinstance(m, kinds) for m in built.module.modules())
