"""Whether two targets compute the same: outputs and gradients for the same inputs and parameters, in float64."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from attnprof.checks.examined import Asked, Examined
from attnprof.contracts import Target
from attnprof.errors import AttnprofError
from attnprof.shapes import Shape
from attnprof.usercode import own_mistakes

NAMED = 5


@dataclass(frozen=True)
class Difference:
    """Where two outputs or gradients differ: of what, by how much of the largest value, and in which rows."""

    of: str
    size: float
    rows: tuple[int, ...] = ()
    n: int = 0

    def told(self) -> str:
        """The difference in a sentence."""
        named = ", ".join(map(str, self.rows[:NAMED])) + (", ..." if len(self.rows) > NAMED else "")
        of_rows = f", in {len(self.rows)} of {self.n} rows: {named}" if self.rows else ""
        return f"the {self.of} differs by {self.size:.1e} of its largest value{of_rows}"


def differences(one: Target, other: Target, shape: Shape, tolerance: float) -> list[Difference]:
    """Where two targets differ beyond a tolerance; the second is given the parameters of the first, by their names.

    Raises `AttnprofError` where they cannot be given them, or are called with different inputs.
    """
    with own_mistakes(one, shape):
        first = Examined(one, shape).asked()
        wanted = _everything(first, first.inputs)
    with own_mistakes(other, shape):
        second = Examined(other, shape).asked()
        _give(first, second, other.name)
        if [_size(x) for x in second.inputs] != [_size(x) for x in first.inputs]:
            raise AttnprofError(f"{one.name} and {other.name} are called with inputs of other sizes")
        got = _everything(second, first.inputs)
    found = [_difference(name, got[name], wanted[name], tolerance) for name in wanted if name in got]
    return [each for each in found if each is not None]


def _size(x: object) -> object:
    return tuple(x.shape) if isinstance(x, Tensor) else x


def _give(first: Asked, second: Asked, name: str) -> None:
    theirs = dict(second.module.named_parameters())
    ours = dict(first.module.named_parameters())
    if not theirs and not ours:
        return
    strange = sorted(
        {n for n, p in ours.items() if n not in theirs or theirs[n].shape != p.shape} | (set(theirs) - set(ours))
    )
    if strange:
        raise AttnprofError(
            f"{name} has not the same parameters: {', '.join(strange[:NAMED])}",
            hint="name them alike, or compare two functions of q, k and v",
        )
    with torch.no_grad():
        for key, parameter in theirs.items():
            parameter.copy_(ours[key])


def _everything(asked: Asked, inputs: tuple[object, ...]) -> dict[str, Tensor]:
    """The output, and the gradients of the inputs and parameters for one output gradient."""
    leaves = [
        x.detach().clone().requires_grad_() if isinstance(x, Tensor) and x.is_floating_point() else x for x in inputs
    ]
    out = asked.differentiable(leaves)
    named = {f"gradient of input {i}": x for i, x in enumerate(leaves) if isinstance(x, Tensor) and x.requires_grad}
    named |= {f"gradient of {name}": p for name, p in asked.module.named_parameters() if p.requires_grad}
    if not out.requires_grad:
        return {"output": out}
    wave = torch.linspace(-1, 1, out.numel(), dtype=out.dtype).view(out.shape)
    grads = torch.autograd.grad(out, list(named.values()), wave, materialize_grads=True, allow_unused=True)
    return {"output": out.detach(), **dict(zip(named, grads, strict=True))}


def _difference(name: str, got: Tensor, wanted: Tensor, tolerance: float) -> Difference | None:
    if got.shape != wanted.shape:
        return Difference(f"shape of the {name}, {list(got.shape)} and {list(wanted.shape)},", float("inf"))
    apart = (got - wanted).abs() / max(float(wanted.abs().max()), 1e-30)
    wrong = ~(apart <= tolerance)  # what is not finite differs too
    if not wrong.any():
        return None
    rows = wrong.movedim(-2, 0).flatten(1).any(1).nonzero().flatten().tolist() if wrong.dim() > 1 else []
    size = float(apart.max()) if torch.isfinite(apart).all() else float("inf")
    return Difference(name, size, tuple(rows), wrong.shape[-2] if wrong.dim() > 1 else 0)
