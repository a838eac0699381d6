"""Whether a timed run did its work: what came out of it, held against a module that was never timed.

Inputs change ahead of every run, so that no result of an earlier one will do; the output of the last is read as soon as
the clock stops, so that none is still to come; what a module gave at first, one made afterwards must give again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from attnprof.errors import Failed, out_of_memory
from attnprof.measure.gate import TOLERANCE, distance
from attnprof.words import DType

KEPT = 1 << 14  # values of a tensor that are kept of it, evenly taken
PLAIN = (Tensor, nn.Parameter, nn.Buffer)
Made = Callable[[], Sequence[Tensor]]


def kept(tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Some values of each tensor, as they are now. Raises `Failed` for what need not hold any."""
    for tensor in tensors:
        if type(tensor) not in PLAIN:
            raise Failed(
                f"it returns a {type(tensor).__name__}, whose values need not have been computed",
                hint="return a plain tensor",
            )
    return tuple(_some(tensor) for tensor in tensors)


def _some(tensor: Tensor) -> Tensor:
    flat = tensor.detach().reshape(-1)
    return flat[:: max(1, flat.numel() // KEPT)].clone()


def refuse_late(promptly: Sequence[Tensor], later: Sequence[Tensor]) -> None:
    """Raise `Failed` where what a timed run left has changed since the clock stopped."""
    if not _same([x.nan_to_num() for x in promptly], [x.nan_to_num() for x in later]):
        raise Failed("its results came after its timed run had ended", hint=_HINT)


class Vary:
    """Changes inputs in place, each width by a factor of its own that is drawn anew: no normalisation undoes it."""

    def __init__(self, inputs: Sequence[Tensor]) -> None:
        self._inputs = [x for x in inputs if x.is_floating_point() and x.ndim and 0 not in x.stride()]
        self._last = [torch.ones(x.shape[-1], device=x.device, dtype=x.dtype) for x in self._inputs]
        self._draw = torch.Generator().manual_seed(0)

    @torch.no_grad()
    def __call__(self) -> None:
        for i, x in enumerate(self._inputs):
            factor = (0.9 + 0.2 * torch.rand(x.shape[-1], generator=self._draw)).to(self._last[i])
            x.mul_(factor / self._last[i])
            self._last[i] = factor

    @property
    def any(self) -> bool:
        """Whether there is an input that can be changed."""
        return bool(self._inputs)


def judge(
    first: Sequence[Tensor], timed: Sequence[Tensor], fresh: Made, again: Made | None, dtype: DType, *, varied: bool
) -> tuple[str, ...]:
    """Raise `Failed` where a timed run did not compute its result; else the flags for what could not be checked.

    `first`: what the module gave before it was timed. `timed`: what its last timed run left, on inputs that had been
    `varied`. `fresh` and `again` make the same from new modules, on the last inputs and (None: not asked) the first.
    """
    tolerance = TOLERANCE[dtype]
    if varied and _same(first, timed) and any(_moves(x) for x in timed):
        raise Failed("its timed runs return what it returned before its inputs changed", hint=_HINT)
    try:
        wanted = fresh()
        if not _near(timed, wanted, tolerance):
            if not _near(fresh(), wanted, tolerance):
                return ("not_repeatable",)
            raise Failed("its timed runs return something else than a module that was never timed", hint=_HINT)
        if again is not None and not _near(again(), first, tolerance):
            raise Failed("after it was timed it returns something else than before, for the same inputs", hint=_HINT)
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
        return ("unchecked",)
    return ()


_HINT = "a result that is kept, replayed or left out is not a run"


def _moves(values: Tensor) -> bool:
    return bool((values != values[:1]).any())


def _same(a: Sequence[Tensor], b: Sequence[Tensor]) -> bool:
    return len(a) == len(b) and all(x.shape == y.shape and torch.equal(x, y) for x, y in zip(a, b, strict=True))


def _near(got: Sequence[Tensor], wanted: Sequence[Tensor], tolerance: float) -> bool:
    if len(got) != len(wanted) or any(x.shape != y.shape for x, y in zip(got, wanted, strict=True)):
        return False
    return all(distance(x, y) <= tolerance for x, y in zip(got, wanted, strict=True))
