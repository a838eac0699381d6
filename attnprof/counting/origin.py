"""Which products are the scheme's core: those inside its core module, or those that no parameter is a factor of.

A product belongs where it stands in the forward, wherever it runs. Three sources of products are told apart:

- the autograd engine's own formulas, which belong to the forward operator that made their node (by sequence numbers);
- a forward that Python runs again inside a node (either kind of checkpoint, a reversible layer, a custom
  `autograd.Function`), which is judged as any forward is, and whose nodes are remembered as the first one's are;
- a backward written by hand in a custom `autograd.Function`, of which a product is a weight's gradient if nothing but
  sums and changes of layout stand between it and the gradient of a parameter that is a factor somewhere.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from types import FrameType

import torch
from torch import Tensor, nn
from torch.autograd.graph import Node
from torch.utils.hooks import RemovableHandle

from attnprof.contracts import Steps
from attnprof.torch_private import ENGINE, Arguments, current_node, next_sequence, sequence_of

DISPATCH = "__torch_dispatch__"
HERE = "attnprof.counting."


def engine_node() -> Node | None:
    """The node whose formula the autograd engine itself runs in this operator; None where Python called it."""
    node = current_node()
    return node if node is not None and _asker() == ENGINE else None


def backward_node() -> Node | None:
    """The node whose gradient this operator computes, by the engine's formula or one written by hand.

    None in a forward, also in one that runs again inside a node.
    """
    node = current_node()
    return None if node is None or (torch.is_grad_enabled() and _asker() != ENGINE) else node


def _asker() -> str:
    """The function that called the present operator, below the dispatch modes that look at it."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and _looks_on(frame):
        frame = frame.f_back
    return frame.f_code.co_name if frame is not None else ""


def _looks_on(frame: FrameType) -> bool:
    return frame.f_code.co_name == DISPATCH or frame.f_globals.get("__name__", "").startswith(HERE)


class Origin:
    """Everything is core: a core on its own."""

    follows = False

    def is_core(self, factors: Iterable[Tensor]) -> bool:
        """Whether a product of these factors, being run now, is core."""
        return True

    def name(self) -> str | None:
        """The part of the module that a product, being run now, belongs to; None where nobody asked."""
        return None

    def made(self, operator: str, args: Arguments, out: object, flops: int | None = None) -> None:
        """Told of every operator's result, where `follows` is set; `flops` of a product, None for anything else."""

    def given(self, tensors: Iterable[Tensor]) -> None:
        """Told of tensors from outside that the pass goes on with."""

    def misjudged(self) -> int:
        """FLOPs that were called core before their gradient was seen to be a parameter's; each is told once."""
        return 0

    def close(self) -> None:
        """Take back whatever was hooked into the module."""


class ForwardSpans:
    """Stretches of a forward, by the sequence numbers of the nodes that autograd makes there."""

    def __init__(self) -> None:
        self.depth = 0
        self.opened = 0
        self.spans: list[tuple[int, int]] = []

    def began(self) -> None:
        """A stretch begins, or one within it."""
        if self.depth == 0:
            self.opened = next_sequence()
        self.depth += 1

    def ended(self) -> None:
        """It ends."""
        self.depth -= 1
        if self.depth == 0:
            self.spans.append((self.opened, next_sequence()))

    def holds_now(self) -> bool:
        """Whether the present operator stands in such a stretch, or is the backward of one that does."""
        if self.depth:
            return True
        node = backward_node() if self.spans else None
        if node is None:
            return False
        number = sequence_of(node)
        return any(first <= number < last for first, last in self.spans)


class MarkedOrigin(Origin):
    """Core is what runs inside the marked submodules, and the backward of it."""

    def __init__(self, marked: Iterable[nn.Module]) -> None:
        self.spans = ForwardSpans()
        self.handles = [h for m in marked for h in self._hook(m)]

    def _hook(self, module: nn.Module) -> tuple[RemovableHandle | _Step, ...]:
        before = module.register_forward_pre_hook(self._enter)
        return before, module.register_forward_hook(self._leave, always_call=True), _Step(self, module)

    def _enter(self, *_: object) -> None:
        self.spans.began()

    def _leave(self, *_: object) -> None:
        self.spans.ended()

    def is_core(self, factors: Iterable[Tensor]) -> bool:
        return self.spans.holds_now()

    def close(self) -> None:
        for handle in self.handles:
            handle.remove()


class _Step:
    """A core's decoding step, which is no forward and runs no hooks, marked for as long as this lives."""

    def __init__(self, origin: MarkedOrigin, module: nn.Module) -> None:
        self.module = module
        if not isinstance(module, Steps):
            return
        step = module.step

        def marked(*args: object) -> object:
            origin._enter()
            try:
                return step(*args)
            finally:
                origin._leave()

        object.__setattr__(module, "step", marked)

    def remove(self) -> None:
        self.module.__dict__.pop("step", None)
