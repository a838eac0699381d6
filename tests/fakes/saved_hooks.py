"""What a real run keeps for its backward, by torch's own hooks: the oracle of saved bytes."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import torch
from torch import Tensor, nn


class Packed:
    """One saved tensor, alive for as long as the graph holds it."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor


def saved_by_hooks(module: nn.Module, inputs: tuple[Any, ...]) -> int:
    """Bytes of the distinct storages that the output's graph holds, but for parameters and buffers, which live anyway.

    What belongs to an output that is thrown away (a pooler) dies with its graph, and is not counted.
    """
    ours = {t.untyped_storage().data_ptr() for t in (*module.parameters(), *module.buffers())}
    packed: weakref.WeakSet[Packed] = weakref.WeakSet()

    def pack(t: Tensor) -> Packed:
        held = Packed(t.detach())  # a result that its own node saves would keep itself alive
        packed.add(held)
        return held

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda held: held.tensor):
        kept = first_tensor(module(*(x.requires_grad_() if x.is_floating_point() else x for x in inputs)))
    gc.collect()
    storages = {s.data_ptr(): s.nbytes() for held in packed if (s := held.tensor.untyped_storage())}
    assert kept.grad_fn is not None
    return sum(size for key, size in storages.items() if key not in ours)


def first_tensor(returned: Any) -> Tensor:
    """The first floating-point tensor of what a module returns; what else it returns is let go of."""
    if isinstance(returned, Tensor):
        return returned
    values = returned.values() if isinstance(returned, dict) else returned
    found: Tensor = next(t for t in values if isinstance(t, Tensor) and t.is_floating_point())
    return found
