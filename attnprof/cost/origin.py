"""Which products are the scheme's core: those inside its core module, or those that no parameter is a factor of.

Backward operators are traced to the forward operator they belong to by autograd's sequence numbers.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from attnprof.cost.storages import flat

next_sequence = torch.autograd._get_sequence_nr  # type: ignore[attr-defined]
current_node = torch._C._current_autograd_node


class Origin:
    """Everything is core: a core on its own."""

    follows = False

    def is_core(self, args: Any) -> bool:
        """Whether a product with these operands, being run now, is core."""
        return True

    def name(self) -> str | None:
        """The part of the module that a product, being run now, belongs to; None where nobody asked."""
        return None

    def made(self, args: Any, out: Any) -> None:
        """Told of every operator's result, where `follows` is set."""

    def close(self) -> None:
        """Take back whatever was hooked into the module."""


class MarkedOrigin(Origin):
    """Core is what runs inside the marked submodules, and the backward of it."""

    def __init__(self, marked: Iterable[nn.Module]) -> None:
        self.depth = 0
        self.opened = 0
        self.spans: list[tuple[int, int]] = []
        self.handles = [h for m in marked for h in self._hook(m)]

    def _hook(self, module: nn.Module) -> tuple[Any, ...]:
        before = module.register_forward_pre_hook(self._enter)
        return before, module.register_forward_hook(self._leave, always_call=True), _Step(self, module)

    def _enter(self, *_: Any) -> None:
        if self.depth == 0:
            self.opened = next_sequence()
        self.depth += 1

    def _leave(self, *_: Any) -> None:
        self.depth -= 1
        if self.depth == 0:
            self.spans.append((self.opened, next_sequence()))

    def is_core(self, args: Any) -> bool:
        if self.depth:
            return True
        node = current_node()
        if node is None or torch.is_grad_enabled():
            return False
        number = node._sequence_nr()
        return any(first <= number < last for first, last in self.spans)

    def close(self) -> None:
        for handle in self.handles:
            handle.remove()


class _Step:
    """A core's decoding step, which is no forward and runs no hooks, marked for as long as this lives."""

    def __init__(self, origin: MarkedOrigin, module: nn.Module) -> None:
        self.module = module
        step = getattr(module, "step", None)
        if step is None:
            return

        def marked(*args: Any) -> Any:
            origin._enter()
            try:
                return step(*args)
            finally:
                origin._leave()

        object.__setattr__(module, "step", marked)

    def remove(self) -> None:
        self.module.__dict__.pop("step", None)


class FactorOrigin(Origin):
    """Core is every product that has no parameter among its factors, and the backward of such a product.

    What is computed from parameters alone (a transposed, cast or normalised weight) counts as a parameter.
    """

    follows = True

    def __init__(self, parameters: Iterable[Tensor]) -> None:
        self.derived: dict[int, Any] = {}
        self.forward: dict[int, bool] = {}
        for parameter in parameters:
            self._derive(parameter)

    def is_core(self, args: Any) -> bool:
        own = not any(self._is_derived(t) for t in flat(args))
        node = current_node()
        if torch.is_grad_enabled():  # forward, or the recomputation of a checkpoint
            if node is None:
                self.forward.setdefault(next_sequence() - 1, own)
            return own
        return own if node is None else own and self.forward.get(node._sequence_nr(), own)

    def made(self, args: Any, out: Any) -> None:
        given = list(flat(args))
        if given and isinstance(out, Tensor) and all(self._is_derived(t) for t in given):
            self._derive(out)

    def _derive(self, t: Tensor) -> None:
        storage = t.untyped_storage()
        if storage._cdata not in self.derived:
            key = storage._cdata
            self.derived[key] = weakref.ref(storage, lambda _: self.derived.pop(key, None))

    def _is_derived(self, t: Tensor) -> bool:
        return t.untyped_storage()._cdata in self.derived
