"""One pass of a module under the counter, and what it left behind: operators, storages, gradients."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor

from attnprof.counting.built import Built
from attnprof.counting.counter import OperatorCounter
from attnprof.counting.decode_step import one_step, state_sizes
from attnprof.counting.flex_masks import counted_flex
from attnprof.counting.origin import Origin
from attnprof.counting.saved import kept_by_graph
from attnprof.counting.storages import Lifetimes, flat, unique_bytes
from attnprof.counting.tally import OperatorTally
from attnprof.errors import AttnprofError
from attnprof.layers.outputs import first_output, tensors_in
from attnprof.shapes import Shape
from attnprof.torch_private import storage_key
from attnprof.words import Pass

NUMBER_BYTES = 16


@dataclass(slots=True)
class CountedRun:
    """One counted pass before it is put into a record."""

    tally: OperatorTally
    lives: Lifetimes
    saved_bytes: int = 0
    param_grad_bytes: int = 0
    state: dict[str, int] = field(default_factory=dict)
    recomputes: bool = False
    forward_flops: int = 0
    forward_core: int = 0
    calls: int = 0
    output_bytes: int = 0
    kept: dict[int, object] = field(default_factory=dict)
    gradients: dict[int, object] = field(default_factory=dict)


def run_pass(
    built: Built, shape: Shape, pass_: Pass, origin: Origin, counter: Callable[..., OperatorCounter] = OperatorCounter
) -> CountedRun:
    """Run one pass under the counter, or a counter that notes more."""
    OperatorCounter.calibrate()
    pass_ = Pass(pass_)
    built.module.train(pass_ == Pass.TRAIN)
    try:
        with slow_path(), counted_flex(built.values), built.within:
            if pass_ == Pass.DECODE:
                sizes = state_sizes(built, shape.n)
                tally, lives, read = one_step(built, shape, origin)
                return CountedRun(tally, lives, state={**sizes, "decode_read_bytes": read})
            run = _once(built, pass_, origin, counter)
            if any(run.lives.made(t) for t in attributes(built)):
                run = _once(
                    built, pass_, origin, counter
                )  # tables that the first pass made live before every later one
            run.recomputes = pass_ == Pass.TRAIN and recomputed(run)
    finally:
        origin.close()
    return run


def _once(built: Built, pass_: Pass, origin: Origin, kind: Callable[..., OperatorCounter]) -> CountedRun:
    run = CountedRun(OperatorTally(), Lifetimes())
    lived = [*built.module.parameters(), *built.module.buffers(), *attributes(built), *tensors_in(built.inputs)]
    run.lives.before(lived)
    counter = kind(run.tally, run.lives, origin, built.mode)
    if pass_ == Pass.TRAIN:
        train(built, run, counter)
    else:
        with torch.no_grad(), counter:
            built.module(*built.inputs)
    run.calls = counter.calls
    return run


def train(built: Built, run: CountedRun, counter: OperatorCounter) -> None:
    """Forward and backward under a counter, noting what the forward alone costs and what it leaves for backward."""
    inputs = tuple(_leaf(x) for x in built.inputs)
    with torch.enable_grad(), counter:
        result = built.module(*inputs)
    output = trainable(first_output(result))
    del (
        result
    )  # the graph of whatever else is returned (a loss beside it) is thrown away with it, as it is when measured
    kept = kept_storages(built, run.lives, output)
    run.saved_bytes = sum(kept.values())
    grad = torch.empty_like(output)
    run.lives.before([grad])
    run.output_bytes = unique_bytes([grad])
    run.kept = {id(life): life for key, life in run.lives.known.items() if key in kept}
    run.forward_flops, run.forward_core = run.tally.flops, run.tally.core
    with counter:
        torch.autograd.backward(output, grad)
    grads = [p.grad for p in built.module.parameters() if p.grad is not None]
    run.param_grad_bytes = unique_bytes(grads)
    run.gradients = {id(life): life for g in grads if (life := run.lives.known.get(storage_key(g)))}
    built.module.zero_grad(set_to_none=True)


def recomputed(run: CountedRun) -> bool:
    """Whether backward did some of the forward again: a fused kernel, or a checkpoint."""
    return bool(run.tally.backends) or run.tally.flops > 3 * run.forward_flops


def trainable(output: Tensor) -> Tensor:
    """The output, where it depends on anything that a backward goes to. Raises `AttnprofError` otherwise."""
    if not output.requires_grad:
        raise AttnprofError(
            "the module's output does not depend on its inputs or parameters, so there is nothing to train",
            hint="ask for --pass forward",
        )
    return output


def _leaf(x: object) -> object:
    if isinstance(x, Tensor) and x.is_floating_point():
        return x.detach().requires_grad_()
    return x


def kept_storages(built: Built, lives: Lifetimes, output: Tensor) -> dict[int, int]:
    """Bytes of each storage that waits for backward: what the graph holds, and whatever else the forward left alive.

    Neither parameters nor registered buffers, which live anyway, nor Python numbers; not the result, unless the graph
    holds it too.
    """
    ours = {storage_key(t) for t in flat((*built.module.parameters(), *built.module.buffers()))}
    graph = kept_by_graph([output])
    numbers = {key for key in graph if not lives.knows(key) and graph[key] <= NUMBER_BYTES}
    kept = {key: size for key, size in graph.items() if key not in ours and key not in numbers}
    known = {*kept, *(storage_key(t) for t in flat((output, *attributes(built))))}
    if any(key not in known for key in lives.alive()):
        gc.collect()
    kept.update({key: size for key, size in lives.alive().items() if key not in known})
    return kept


def attributes(built: Built) -> list[Tensor]:
    """Tensors that modules hold as plain attributes: caches, which outlive the pass."""
    return [t for part in built.module.modules() for t in flat(tensors_in(list(vars(part).values())))]


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
