"""What torch hands to the two halves of an operator or `autograd.Function` of ours, as a type."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor


class FunctionContext(Protocol):
    """The context of one call: what its forward keeps, its backward finds; a kind with more to keep says so itself."""

    saved_tensors: tuple[Tensor, ...]
    needs_input_grad: tuple[bool, ...]

    def save_for_backward(self, *tensors: Tensor | None) -> None:
        """Keep inputs and outputs, which count as saved."""
        ...

    def mark_dirty(self, *tensors: Tensor) -> None:
        """Say which inputs were changed in place."""
        ...
