"""How one pass of a module runs: which steps are timed, and what is put right, untimed, before each run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from attnprof.contracts import Decodes
from attnprof.device.instruments.clock import Step
from attnprof.errors import Unsupported
from attnprof.layers.outputs import first_output
from attnprof.layers.tokens import length_of, tokens_of
from attnprof.measure.saved_hooks import forward_saved
from attnprof.words import Pass


@dataclass(frozen=True)
class Passage:
    """One pass, ready to run any number of times: `before` is not part of it, `steps` are, in this order.

    Everything that lives before the pass (parameters, buffers, inputs, grad_output, a decoding state) is allocated
    by `before` or earlier, so that what `steps` allocate is what the pass costs. `saved_bytes` (training only) are
    those of the run that found the shape of grad_output. `left` is what the last run left: its output, and in training
    the gradients of its inputs; `after` lets go of it.
    """

    pass_: Pass
    names: tuple[str, ...]
    steps: tuple[Step, ...]
    before: Step
    after: Step
    saved_bytes: int | None = None
    left: Callable[[], tuple[Tensor, ...]] = tuple

    def run(self) -> None:
        """The pass once, with what precedes it."""
        self.before()
        for step in self.steps:
            step()


def passage(module: nn.Module, inputs: Sequence[Tensor], pass_: Pass, seed: int = 0) -> Passage:
    """The pass of `module` on `inputs`, after one run that allocates what lives before it and builds lazy tables.

    `forward` keeps no graph; `train` adds the backward of a fixed grad_output to the inputs and parameters, whose
    gradients are made anew each time; `decode` is `module.step(x, state)` for the last token of the inputs on a fresh
    `module.state(n)`. Each run draws the same random numbers, by `seed`. Raises `Unsupported` for `decode` where the
    module has no such state.
    """
    makers: dict[Pass, Callable[[nn.Module, Sequence[Tensor], int], Passage]] = {
        Pass.FORWARD: _forward,
        Pass.TRAIN: _train,
        Pass.DECODE: _decode,
    }
    torch.manual_seed(seed)
    return makers[Pass(pass_)](module, inputs, seed)


def _forward(module: nn.Module, inputs: Sequence[Tensor], seed: int) -> Passage:
    module.eval()
    fixed = [x.detach() for x in inputs]
    held: list[object] = []

    def clear() -> None:
        held.clear()
        torch.manual_seed(seed)

    @torch.no_grad()
    def forward() -> None:
        held.append(module(*fixed))

    forward()
    return Passage(Pass.FORWARD, ("forward",), (forward,), clear, held.clear, None, lambda: (first_output(held[-1]),))


def _train(module: nn.Module, inputs: Sequence[Tensor], seed: int) -> Passage:
    module.train()
    leaves = [x.detach().requires_grad_(x.is_floating_point()) for x in inputs]
    grown = [*leaves, *module.parameters()]
    graph: list[Tensor] = []
    outputs: list[Tensor] = []

    def clear() -> None:
        graph.clear()
        outputs.clear()
        for leaf in grown:
            leaf.grad = None

    def before() -> None:
        clear()
        torch.manual_seed(seed)

    def forward() -> None:
        graph.append(first_output(module(*leaves)))

    saved, output = forward_saved(module, leaves)
    grad_output = torch.randn_like(output)
    outputs.append(output.detach())
    del output

    def backward() -> None:
        output = graph.pop()
        torch.autograd.backward(output, grad_output)
        outputs.append(output.detach())

    def left() -> tuple[Tensor, ...]:
        return (outputs[-1], *(leaf.grad for leaf in leaves if leaf.grad is not None))

    ready = Passage(Pass.TRAIN, ("forward", "backward"), (forward, backward), before, clear, saved, left)
    if not grad_output.is_cpu:
        ready.run()  # an accelerator's libraries take their workspaces on first use
        clear()
    return ready


def _decode(module: nn.Module, inputs: Sequence[Tensor], seed: int) -> Passage:
    if not isinstance(module, Decodes):
        raise Unsupported(
            f"{type(module).__name__} defines no decoding step",
            hint="a module decodes with `state(n)` and `step(x, state)`; drop --pass decode for this target",
        )
    module.eval()
    n = length_of(inputs[0])
    tokens = tokens_of([x.detach() for x in inputs], n)
    held: list[object] = []
    outputs: list[object] = []

    def clear() -> None:
        held.clear()
        outputs.clear()

    @torch.no_grad()
    def fresh() -> None:
        clear()
        torch.manual_seed(seed)
        with tokens[0].device:
            held.append(module.state(n))
        held.extend(x.contiguous() for x in tokens)

    @torch.no_grad()
    def one() -> None:
        outputs.append(module.step(*held[1:], held[0]))

    ready = Passage(Pass.DECODE, ("step",), (one,), fresh, clear, None, lambda: (first_output(outputs[-1]),))
    ready.run()
    return ready
