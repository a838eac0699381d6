"""Independence of the batch: beside another sequence, a sequence is what it is alone."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from attnprof.checks.examined import Asked, Examined, Skipped, off, same
from attnprof.checks.finding import Finding
from attnprof.checks.whereabouts import place_in, watched
from attnprof.layers.outputs import tensors_in
from attnprof.words import Severity

ADVICE = "keep the axis of the batch apart: look for reshapes that join it with tokens, and for statistics over it"


def look(examined: Examined) -> Iterator[Finding]:
    """A defect where sequences move each other when evaluated, a warning where they do so in training alone."""
    asked = examined.asked()
    if not any(asked.batched):
        raise Skipped("none of its inputs has an axis of the batch")
    alone, beside = asked.run(), asked.run(asked.beside())
    if len(beside) != 2 * len(alone):
        raise Skipped(f"its output, {list(alone.shape)}, has no axis of the batch")
    if not same(beside[:1], alone):
        if _draws(asked):
            raise Skipped("it draws random numbers for each entry of a batch, so that no two can be compared")
        yield Finding(
            "batch_mixing",
            Severity.DEFECT,
            "a sequence comes out otherwise beside another one than alone",
            _where(asked),
            {"moved": off(beside[:1], alone), "batch": 2},
            ADVICE,
        )
        return
    yield from _in_training(asked)


def _draws(asked: Asked) -> bool:
    """Whether other random numbers give another output."""
    return not same(asked.run(seed=asked.seed + 1), asked.run())


def _in_training(asked: Asked) -> Iterator[Finding]:
    """Sequences that see each other through the statistics of a batch; its module is as before afterwards."""
    kept = {name: value.clone() for name, value in asked.module.state_dict().items() if isinstance(value, torch.Tensor)}
    asked.module.train()
    try:
        if _draws(asked):
            return  # dropout: nothing can be compared
        others = tuple(
            torch.cat((x, -x)) if batched and x.is_floating_point() else (torch.cat((x, y)) if batched else x)
            for x, y, batched in zip(asked.inputs, asked.other, asked.batched, strict=True)
        )
        moved = off(asked.run(asked.beside())[:1], asked.run(others)[:1])
        if moved > 10 * asked.rounding:
            yield Finding(
                "batch_mixing_in_training",
                Severity.WARNING,
                "in training, a sequence comes out otherwise beside other ones",
                _where(asked),
                {"moved": moved, "batch": 2},
                "nn.LayerNorm or RMSNorm in place of BatchNorm, if sequences must not see each other",
            )
    finally:
        asked.module.eval()
        asked.module.load_state_dict(kept, strict=False)


def _where(asked: Asked) -> str:
    """The innermost part that gives an entry of a batch something else than it gives it alone, for the same input."""
    with watched(asked.module) as alone:
        asked.run()
    with watched(asked.module) as beside:
        asked.run(asked.beside())
    parts = dict(asked.module.named_modules())
    for path, (given, gave) in beside.items():
        if path in alone and all(map(_kept, alone[path][0], given)) and not all(map(_kept, alone[path][1], gave)):
            return place_in(path, parts[path])
    return ""


def _kept(alone: torch.Tensor, beside: torch.Tensor) -> bool:
    """Whether a tensor of a batch of two begins with that of a batch of one, on whichever axis grew."""
    if alone.shape == beside.shape:
        return True
    grown = [axis for axis, size in enumerate(alone.shape) if beside.shape[axis : axis + 1] == (2 * size,)]
    if not grown or not alone.is_floating_point() or not tensors_in(alone):
        return True
    return same(beside.narrow(grown[0], 0, alone.shape[grown[0]]), alone)
