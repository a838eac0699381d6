"""Gradients: finite, those of the function that is computed, and one for every parameter."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path, PurePath
from types import MethodWrapperType

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from attnprof.checks.examined import Asked, Examined, Skipped
from attnprof.checks.finding import Finding
from attnprof.checks.whereabouts import line_of_caller, place_in
from attnprof.layers.outputs import first_output
from attnprof.torch_private import Arguments, Keywords
from attnprof.words import Severity

TORCH = str(Path(torch.__file__).parent)
STEPS = (1e-7, 1e-5, 1e-3)
WRONG = 1e-2
FAR = 0.2  # a gradient that is stopped on purpose, in what only stabilises, moves a slope by less
NAMED = 4


class Stops(TorchFunctionMode):
    """The first line, neither torch's nor ours, at which a gradient is stopped by `.detach()` or `.data`."""

    def __init__(self) -> None:
        super().__init__()
        self.line = ""

    def __torch_function__(
        self, func: Callable[..., object], types: Sequence[type], args: Arguments = (), kwargs: Keywords | None = None
    ) -> object:
        if not self.line and _called(func) in ("detach", "detach_", "data"):
            self.line = line_of_caller()
        return func(*args, **(kwargs or {}))


def _called(func: Callable[..., object]) -> str:
    """The name of a method of tensors, or of the attribute that is read."""
    name: str = getattr(func, "__name__", "")
    return getattr(func.__self__, "__name__", "") if isinstance(func, MethodWrapperType) else name


def look(examined: Examined) -> Iterator[Finding]:
    """Gradients of one weighted sum of the outputs, in float64, beside central differences along one direction."""
    asked = examined.asked()
    if asked.module_dtype is not torch.float64:
        raise Skipped("it takes no float64, in which differences can be told from rounding")
    if not torch.isfinite(asked.run()).all():
        raise Skipped("its output is not finite")
    named = {name: p for name, p in asked.module.named_parameters() if p.requires_grad}
    inputs = [_leaf(x, stream) for x, stream in zip(asked.inputs, asked.streams, strict=True)]
    leaves = {f"input {i}": x for i, x in enumerate(inputs) if isinstance(x, Tensor) and x.requires_grad}
    if not leaves and not named:
        raise Skipped("nothing of it has a gradient")
    out = asked.differentiable(inputs)
    if not out.requires_grad:
        yield _unreached([*leaves, *named], "no gradient reaches anything: its output has no graph", asked)
        return
    draw = torch.Generator().manual_seed(7)
    weights = torch.randn(out.shape, dtype=out.dtype, generator=draw)
    try:
        found = torch.autograd.grad(out, [*leaves.values(), *named.values()], weights, allow_unused=True)
    except NotImplementedError as error:
        raise Skipped(f"it has no backward here: {str(error).partition('. ')[0]}") from error
    gradients: dict[str, Tensor | None] = dict(zip((*leaves, *named), found, strict=True))
    yield from _judged(asked, inputs, {**leaves, **named}, gradients, weights)


def _judged(
    asked: Asked,
    inputs: Sequence[object],
    leaves: Mapping[str, Tensor],
    gradients: Mapping[str, Tensor | None],
    weights: Tensor,
) -> Iterator[Finding]:
    bad = [name for name, g in gradients.items() if g is not None and not torch.isfinite(g).all()]
    if bad:
        yield Finding(
            "gradient_not_finite",
            Severity.DEFECT,
            f"the gradient of {_listed(bad)} is not finite, while the output is",
            _first_not_finite(asked, inputs, leaves, weights) or _owner(asked, bad),
            {"of": bad[:NAMED]},
            "a where() does not stop a NaN in its other branch; sqrt and division need a bound inside",
        )
        return
    missing = [name for name, g in gradients.items() if g is None]
    if missing:
        yield _unreached(missing, f"no gradient reaches {_listed(missing)}", asked)
    wrong = _difference(asked, inputs, leaves, gradients, weights)
    if wrong is not None:
        stated, seen = wrong
        far = abs(stated - seen) > FAR * max(abs(stated), abs(seen))
        with Stops() as stops:
            asked.differentiable(inputs)
        stopped = f"; it stops gradients, at {stops.line}: is that meant?" if stops.line else ""
        yield Finding(
            "gradient_wrong",
            Severity.DEFECT if far and not stopped else Severity.WARNING,
            f"the gradient along a random direction is {stated:.4g}, while the output changes by {seen:.4g}{stopped}",
            stops.line,
            {"gradient": stated, "central_difference": seen, "steps": list(STEPS)},
            "torch.autograd.gradcheck on each autograd.Function; look for .detach() and .data in the way of values",
        )


def _first_not_finite(asked: Asked, inputs: Sequence[object], leaves: Mapping[str, Tensor], weights: Tensor) -> str:
    """The line of the forward whose backward first gives a NaN, as torch's anomaly mode finds it; else nothing."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            with torch.autograd.detect_anomaly(check_nan=True):
                torch.manual_seed(asked.seed)
                out = first_output(asked.module(*inputs))
                torch.autograd.grad(out, list(leaves.values()), weights, allow_unused=True)
        except RuntimeError as error:
            traced = "".join(str(each.message) for each in said)
            frames = [f for f in re.findall(r'File "([^"]+)", line (\d+), in (\w+)', traced) if TORCH not in f[0]]
            operator = re.search(r"Function '(\w+)'", str(error))
            if frames:
                file, line, function = frames[-1]
                return f"{PurePath(file).name}:{line}, in {function}{f', {operator[1]}' if operator else ''}"
    return ""


def _unreached(names: list[str], what: str, asked: Asked) -> Finding:
    return Finding(
        "no_gradient",
        Severity.WARNING,
        what,
        _owner(asked, names),
        {"of": names[:NAMED], "count": len(names)},
        "use the parameter, freeze it, or remove it; look for .detach() and torch.no_grad() on the way",
    )


def _leaf(x: object, stream: bool) -> object:
    if isinstance(x, Tensor) and stream and x.is_floating_point():
        return x.detach().clone().requires_grad_()
    return x


def _difference(
    asked: Asked,
    inputs: Sequence[object],
    leaves: Mapping[str, Tensor],
    gradients: Mapping[str, Tensor | None],
    weights: Tensor,
) -> tuple[float, float] | None:
    """The slope by the gradient and the one seen, where they differ at every step; None where they agree at one."""
    draw = torch.Generator().manual_seed(11)
    ways = {
        name: torch.randn(leaf.shape, dtype=leaf.dtype, generator=draw) * float(leaf.detach().abs().mean() or 1.0)
        for name, leaf in leaves.items()
    }
    parts = [g * ways[name] for name, g in gradients.items() if g is not None]
    stated = float(sum(float(part.sum()) for part in parts))
    size = float(sum(float((part**2).sum()) for part in parts)) ** 0.5
    worst = (stated, stated)
    with torch.no_grad():
        kept = {name: leaf.detach().clone() for name, leaf in leaves.items()}
        try:
            for step in STEPS:
                ends = []
                for sign in (1, -1):
                    for name, leaf in leaves.items():
                        leaf.copy_(kept[name] + sign * step * ways[name])
                    ends.append(float((asked.run(inputs) * weights).sum()))
                seen = (ends[0] - ends[1]) / (2 * step)
                if abs(seen - stated) <= WRONG * max(abs(seen), size):
                    return None
                worst = (stated, seen)
        finally:
            for name, leaf in leaves.items():
                leaf.copy_(kept[name])
    return worst


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def _owner(asked: Asked, names: list[str]) -> str:
    """The part that the first parameter among these names is of."""
    parts = dict(asked.module.named_modules())
    for name in names:
        path = name.rpartition(".")[0]
        if not name.startswith("input ") and path in parts:
            return place_in(path, parts[path])
    return ""
