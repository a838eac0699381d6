"""Hoards: what is still alive after a call whose output was thrown away, and who holds it."""

from __future__ import annotations

import gc
from collections import deque
from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor

from attnprof.checks.examined import Asked, Examined
from attnprof.checks.finding import Finding
from attnprof.checks.whereabouts import line_of
from attnprof.counting.storages import Lifetimes, flat
from attnprof.layers.outputs import tensors_in
from attnprof.torch_private import Arguments, DispatchMode, Keywords, Operator
from attnprof.units import format_bytes
from attnprof.words import Severity

CALLS = 3
DEEP = 3


class Births(DispatchMode):
    """Every storage that is made while it is on, followed until it dies."""

    def __init__(self, lives: Lifetimes) -> None:
        super().__init__()
        self.lives = lives

    def __torch_dispatch__(
        self, func: Operator, types: Sequence[type], args: Arguments = (), kwargs: Keywords | None = None
    ) -> object:
        out = func(*args, **(kwargs or {}))
        for t in flat((out,)):
            self.lives.born(t)
        return out


def look(examined: Examined) -> Iterator[Finding]:
    """A defect where each call leaves more behind, or a whole graph; a warning where it leaves scores of n by n."""
    asked = examined.asked(dtype=torch.float32)
    lives, alive = Lifetimes(), []
    lives.before([*asked.module.parameters(), *asked.module.buffers(), *tensors_in(asked.inputs)])
    for _ in range(CALLS):
        with Births(lives):
            asked.differentiable(asked.inputs)
        if lives.live:
            gc.collect()  # what is left may be garbage in a cycle
        alive.append(lives.live)
    kept = dict(_held(asked, lives))
    if alive[2] > alive[1] > alive[0]:
        yield Finding(
            "hoarded_outputs",
            Severity.DEFECT,
            f"each call leaves {format_bytes(alive[2] - alive[1])} behind that nothing gives back",
            _where(asked, kept),
            {"alive_bytes_after_calls": alive, "held_by": list(kept)},
            "append .detach() copies of what is small, or nothing: a list on a module lives as long as the module",
        )
        return
    graph = [path for path, t in kept.items() if t.grad_fn is not None]
    if graph:
        yield Finding(
            "graph_kept",
            Severity.DEFECT,
            f"after a call {', '.join(graph[:DEEP])} still holds its graph, and what that saved for backward",
            _where(asked, kept),
            {"alive_bytes": alive[-1], "held_by": graph},
            "keep .detach() of it",
        )
    elif any(t.numel() >= asked.n**2 for t in kept.values()):
        large = [path for path, t in kept.items() if t.numel() >= asked.n**2]
        yield Finding(
            "scores_kept",
            Severity.WARNING,
            f"after a call {', '.join(large[:DEEP])} still holds numbers for every pair of tokens",
            _where(asked, kept),
            {"alive_bytes": alive[-1], "held_by": large},
            "keep it only where somebody asks for it",
        )


def _held(asked: Asked, lives: Lifetimes) -> Iterator[tuple[str, Tensor]]:
    """The tensors of these calls that the module's parts hold in attributes, by the path of the attribute."""
    for path, part in asked.module.named_modules():
        for name, value in vars(part).items():
            if not name.startswith("_"):
                found = (t for t in _tensors(value, DEEP) if lives.made(t))
                yield from ((f"{path}.{name}".lstrip("."), t) for t in found)


def _tensors(value: object, depth: int) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield from flat((value,))
    elif depth and isinstance(value, Mapping):
        for each in value.values():
            yield from _tensors(each, depth - 1)
    elif depth and isinstance(value, (list, tuple, deque)):
        for each in value:
            yield from _tensors(each, depth - 1)


def _where(asked: Asked, kept: Mapping[str, Tensor]) -> str:
    """The attribute that holds the most, and the line of the forward of its part."""
    if not kept:
        return "no attribute of the module: a global, a closure or a hook"
    path = max(kept, key=lambda p: kept[p].numel())
    parts = dict(asked.module.named_modules())
    line = line_of(parts[path.rpartition(".")[0]])
    return f"{path}, {line}" if line else path
