"""Where in a module something first goes wrong: the innermost part whose output shows it while its inputs do not."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePath

import torch
from torch import Tensor, nn

from attnprof.checks.examined import Examined
from attnprof.layers.outputs import tensors_in
from attnprof.locate import PACKAGE
from attnprof.torch_private import Arguments, Keywords

TORCH = str(Path(torch.__file__).parent)
MOVED, ROUNDED = 1e-10, 1e-5
GivenAndGave = tuple[list[Tensor], list[Tensor]]


def line_of(part: nn.Module) -> str:
    """`file.py:31` of the forward of a part; nothing where its source is not to be had, and for torch's own parts."""
    if type(part).__module__.startswith("torch."):
        return ""
    forward = type(part).forward
    try:
        file, (_, line) = inspect.getsourcefile(forward), inspect.getsourcelines(forward)
    except (OSError, TypeError):
        return ""
    return f"{PurePath(file or '').name}:{line}"


def line_of_caller() -> str:
    """`file.py:12` of the innermost frame that is neither torch's nor ours."""
    frame = sys._getframe(1)
    while frame is not None:
        file = frame.f_code.co_filename
        if not file.startswith((TORCH, str(PACKAGE / "checks"), "<")) and Path(file).suffix == ".py":
            ours = file.startswith(str(PACKAGE)) and not file.startswith(
                (str(PACKAGE / "impl"), str(PACKAGE / "schemes"))
            )
            if not ours and "contextlib" not in file:
                return f"{PurePath(file).name}:{frame.f_lineno}"
        frame = frame.f_back  # type: ignore[assignment]
    return ""


def place_in(path: str, part: nn.Module) -> str:
    """A part as a reader finds it: its path in the module, its class, the line of its forward."""
    line = line_of(part)
    called = f"{path} ({type(part).__name__})" if path else type(part).__name__
    return f"{called}, {line}" if line else called


@contextmanager
def watched(module: nn.Module) -> Iterator[dict[str, GivenAndGave]]:
    """What every part is given and gives while it lasts, by its path, in the order in which they finish."""
    seen: dict[str, GivenAndGave] = {}
    hooks = []

    def noting(path: str) -> Callable[..., None]:
        def note(part: nn.Module, args: Arguments, kwargs: Keywords, out: object) -> None:
            seen.pop(path, None)
            seen[path] = (
                [t.detach().clone() for t in tensors_in((args, kwargs))],
                [t.detach().clone() for t in tensors_in(out)],
            )

        return note

    try:
        for path, part in module.named_modules():
            hooks.append(part.register_forward_hook(noting(path), with_kwargs=True))
        yield seen
    finally:
        for hook in hooks:
            hook.remove()


def where_it_leaks(examined: Examined, start: int) -> str:
    """The innermost part of which an output before `start` moves when all from there on is replaced, but no input."""
    asked = examined.asked()
    with watched(asked.module) as before:
        asked.run()
    with watched(asked.module) as after:
        asked.run(asked.replaced(slice(start, None)))
    parts = dict(asked.module.named_modules())
    for path, (given, gave) in after.items():
        if path not in before:
            continue
        was_given, was_gave = before[path]
        if _leaks(was_gave, gave, start, asked.n) and not _leaks(was_given, given, start, asked.n):
            return place_in(path, parts[path])
    return ""


def _leaks(before: list[Tensor], after: list[Tensor], start: int, n: int) -> bool:
    return any(_moved(old, new, start, n) for old, new in zip(before, after, strict=False))


def _moved(old: Tensor, new: Tensor, start: int, n: int) -> bool:
    """Whether a tensor moved before a position, on whichever of its axes tokens lie; never without one."""
    if old.shape != new.shape or not old.is_floating_point() or old.dim() < 2:
        return False
    axes = [axis for axis in range(old.dim() - 1) if old.shape[axis] == n]
    if not axes:
        return False
    axis = axes[-1]
    first, second = (t.narrow(axis, 0, start) for t in (old, new))
    least = MOVED if old.dtype is torch.float64 else ROUNDED
    return bool(((first - second).abs() > least * float(old.abs().max())).any()) or not bool(
        torch.isfinite(second).all()
    )
