"""What the autograd graph keeps for backward, read from the graph itself."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

from attnprof.counting.storages import flat
from attnprof.torch_private import kept_by, key_of


def kept_by_graph(outputs: list[Tensor]) -> dict[int, int]:
    """Bytes of every distinct storage that a backward from `outputs` reads, by the storage's key.

    Leaves, checkpoints' inputs and tensors that a custom `autograd.Function` keeps on its context are among them; a
    tensor that was packed by a hook (a checkpoint) is not there, and is not unpacked.
    """
    found: dict[int, int] = {}
    for node in nodes(outputs):
        for t in _inside(tuple(kept_by(node))):
            storage = t.untyped_storage()
            found[key_of(storage)] = storage.nbytes()
    return found


def nodes(outputs: list[Tensor]) -> Iterator[object]:
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


def _inside(value: object) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield from flat((value,))
    elif isinstance(value, (tuple, list)):
        for item in value:
            yield from _inside(item)
