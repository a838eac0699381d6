"""What the autograd graph keeps for backward, read from the graph itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from attnprof.counting.storages import flat

_fields: dict[type, tuple[str, ...]] = {}


def kept_by_graph(outputs: list[Tensor]) -> dict[int, int]:
    """Bytes of every distinct storage that a backward from `outputs` reads, by the storage's key.

    Leaves, checkpoints' inputs and tensors that a custom `autograd.Function` keeps on its context are among them; a
    tensor that was packed by a hook (a checkpoint) is not there, and is not unpacked.
    """
    found: dict[int, int] = {}
    for node in nodes(outputs):
        for t in _tensors_of(node):
            storage = t.untyped_storage()
            found[storage._cdata] = storage.nbytes()
    return found


def nodes(outputs: list[Tensor]) -> Iterator[Any]:
    """Every node of the graph behind `outputs`, once."""
    pending = [t.grad_fn for t in outputs if t.grad_fn is not None]
    seen = set(pending)
    while pending:
        node = pending.pop()
        yield node
        for following, _ in node.next_functions:
            if following is not None and following not in seen:
                seen.add(following)
                pending.append(following)


def _tensors_of(node: Any) -> Iterator[Tensor]:
    for name in _names(node):
        raw = getattr(node, name)
        for saved in raw if isinstance(raw, (tuple, list)) else (raw,):
            yield from _inside(getattr(saved, "data", saved))
            yield from _of_checkpoint(getattr(saved, "unpack_hook", None))
    if isinstance(node, torch.autograd.function.BackwardCFunction):
        for value in vars(node).values():
            yield from _inside(value)


def _of_checkpoint(hook: Any) -> Iterator[Tensor]:
    """The inputs that a checkpoint keeps, in the frame that its unpacking hook closes over."""
    for cell in getattr(hook, "__closure__", None) or ():
        frame = cell.cell_contents
        for saved in getattr(frame, "saved_args", ()):
            yield from _inside(getattr(saved, "data", saved))
        saver = getattr(getattr(frame, "input_saver", None), "grad_fn", None)
        if saver is not None:
            yield from _tensors_of(saver)


def _inside(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield from flat((value,))
    elif isinstance(value, (tuple, list)):
        for item in value:
            yield from _inside(item)


def _names(node: Any) -> tuple[str, ...]:
    kind = type(node)
    if kind not in _fields:
        _fields[kind] = tuple(name for name in dir(node) if name.startswith("_raw_saved_"))
    return _fields[kind]
