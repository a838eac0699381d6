"""What a forward keeps for its backward, and which of a module's outputs that backward starts from."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from attnprof.errors import AttnprofError


def forward_saved(module: nn.Module, leaves: Sequence[Tensor]) -> tuple[int, Tensor]:
    """Bytes of the unique storages that one forward keeps for backward, and the (detached) output of that forward.

    Never parameters or buffers, which live anyway. Each tensor is held by the graph alone, so that what a node drops
    before the forward ends is not counted.
    """
    kept: weakref.WeakSet[_Kept] = weakref.WeakSet()

    def pack(tensor: Tensor) -> _Kept:
        holder = _Kept(tensor)
        kept.add(holder)
        return holder

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda holder: holder.tensor):
        output = first_tensor(module(*leaves))
    gc.collect(1)
    permanent = {_address(tensor) for tensor in (*module.parameters(), *module.buffers())}
    storages = {_address(holder.tensor): holder.tensor.untyped_storage().nbytes() for holder in kept}
    return sum(size for address, size in storages.items() if address not in permanent), output.detach()


def first_tensor(output: Any) -> Tensor:
    """The output tensor of a module that may return a tuple, list or mapping of several."""
    found = next(_tensors(output), None)
    if found is None:
        raise AttnprofError(
            f"the module returned {type(output).__name__}, in which there is no floating-point tensor",
            hint="return a tensor, or a tuple whose first tensor is the output",
        )
    return found


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        if value.is_floating_point():
            yield value
    elif isinstance(value, dict):
        for part in value.values():
            yield from _tensors(part)
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from _tensors(part)


class _Kept:
    __slots__ = ("__weakref__", "tensor")

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor.detach()


def _address(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()
