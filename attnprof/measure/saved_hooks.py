"""What a forward keeps for its backward."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from attnprof.layers.outputs import first_output


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
        output = first_output(module(*leaves))
    gc.collect(1)
    permanent = {_address(tensor) for tensor in (*module.parameters(), *module.buffers())}
    storages = {_address(holder.tensor): holder.tensor.untyped_storage().nbytes() for holder in kept}
    return sum(size for address, size in storages.items() if address not in permanent), output.detach()


class _Kept:
    __slots__ = ("__weakref__", "tensor")

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor.detach()


def _address(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()
