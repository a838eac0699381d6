"""Determinism: the same input gives the same output, call after call, and whatever the seed once it is evaluated."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

import numpy as np
import torch

from attnprof.checks.examined import Asked, Examined, off
from attnprof.checks.finding import Finding
from attnprof.checks.whereabouts import place_in
from attnprof.torch_private import Arguments, DispatchMode, Keywords, Operator, is_overload
from attnprof.words import Severity

DROPS = ("dropout", "bernoulli")


class RandomDraws(DispatchMode):
    """The names of the operators that draw random numbers while it is on."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(
        self, func: Operator, types: Sequence[type], args: Arguments = (), kwargs: Keywords | None = None
    ) -> object:
        if is_overload(func) and torch.Tag.nondeterministic_seeded in func.tags:
            self.names.append(str(func))
        return func(*args, **(kwargs or {}))


def remembered(examined: Examined) -> Iterator[Finding]:
    """A defect where a call is changed by the one before it: nothing else can be seen of such a target."""
    asked = examined.asked()
    first, _, again = asked.run(), asked.run(asked.other), asked.run()
    if torch.equal(torch.nan_to_num(first), torch.nan_to_num(again)):
        return
    if _by_other_seeds(asked):
        yield Finding(
            "random_without_seed",
            Severity.DEFECT,
            "the same input and seed of torch give another output: Python's or NumPy's random numbers decide",
            place_in("", asked.module),
            {"moved": off(again, first)},
            "draw by torch's numbers, or by a generator that is handed in",
        )
    else:
        yield Finding(
            "state_between_calls",
            Severity.DEFECT,
            "the same input with the same seed gives another output after a call with another input",
            _changing(asked),
            {"moved": off(again, first)},
            "reset what a call leaves behind (a cache, a counter, running statistics), or hand it in and out",
        )


def _by_other_seeds(asked: Asked) -> bool:
    """Whether a call agrees with one after another input, once Python's and NumPy's random numbers are the same for
    each; they go on as before."""
    kept = random.getstate(), np.random.get_state()  # noqa: NPY002
    try:
        found = []
        for inputs in (asked.inputs, asked.other, asked.inputs):
            random.seed(asked.seed)
            np.random.seed(asked.seed)  # noqa: NPY002
            found.append(torch.nan_to_num(asked.run(inputs)))
        return torch.equal(found[0], found[2])
    finally:
        random.setstate(kept[0])
        np.random.set_state(kept[1])  # noqa: NPY002


def look(examined: Examined) -> Iterator[Finding]:
    """Dropout that is on in evaluation; other random draws."""
    asked = examined.asked()
    first = asked.run()
    reseeded = asked.run(seed=asked.seed + 1)
    if not torch.equal(torch.nan_to_num(first), torch.nan_to_num(reseeded)):
        with RandomDraws() as drawn:
            asked.run()
        dropped = [name for name in drawn.names if any(word in name for word in DROPS)]
        size = off(reseeded, first)
        yield _dropout(dropped, size) if dropped else _random(drawn.names, size)


def _dropout(names: list[str], size: float) -> Finding:
    return Finding(
        "dropout_in_evaluation",
        Severity.DEFECT,
        "in evaluation (`.eval()`) outputs depend on the seed: dropout is on",
        evidence={"moved": size, "operators": sorted(set(names))},
        advice="dropout_p=self.p if self.training else 0.0, or nn.Dropout, which asks for the mode by itself",
    )


def _random(names: list[str], size: float) -> Finding:
    return Finding(
        "random_in_evaluation",
        Severity.WARNING,
        "in evaluation (`.eval()`) outputs depend on the seed: it draws random numbers in each call",
        evidence={"moved": size, "operators": sorted(set(names))},
        advice="draw them once, into a buffer, where two calls are meant to agree",
    )


def _changing(asked: Asked) -> str:
    """The first part of the module whose buffers or attributes a call changes."""

    def held(part: torch.nn.Module) -> list[object]:
        own = [*part.buffers(recurse=False), *(v for v in vars(part).values() if isinstance(v, torch.Tensor))]
        numbers = [v for k, v in vars(part).items() if isinstance(v, (int, float)) and k != "training"]
        return [*(t.detach().clone() for t in own), *numbers]

    before = {path: held(part) for path, part in asked.module.named_modules()}
    asked.run(asked.other)
    for path, part in asked.module.named_modules():
        now = held(part)
        if len(now) != len(before[path]) or any(map(_differs, before[path], now)):
            return place_in(path, part)
    return ""


def _differs(old: object, new: object) -> bool:
    if isinstance(old, torch.Tensor) and isinstance(new, torch.Tensor):
        return old.shape != new.shape or not torch.equal(old, new)
    return type(old) is not type(new) or bool(old != new)
