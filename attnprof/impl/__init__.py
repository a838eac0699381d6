"""Ways to compute a scheme as tensors: one file each, found by its name, or by the path of a user's own."""

from __future__ import annotations

import importlib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from attnprof.contracts import Implementation, SchemeFacts, Spec
from attnprof.errors import AttnprofError
from attnprof.shapes import Shape
from attnprof.userfiles import run_file
from attnprof.words import DeviceName, Impl

if TYPE_CHECKING:
    from torch import nn

PREFERRED = ("eager", "gather", "masked", "flex", "sdpa")


@cache
def implementation(name: str) -> Implementation:
    """The implementation of that name, or of a user's file. Raises `AttnprofError` where the file has none."""
    impl = Impl(name)
    module = run_file(Path(impl)) if impl.endswith(".py") else importlib.import_module(f"attnprof.impl.{impl}")
    found = vars(module).get("IMPLEMENTATION")
    if not isinstance(found, Implementation):
        raise AttnprofError(
            f"{name} defines no implementation",
            hint="IMPLEMENTATION = Mine(), of a class Mine(Implementation)",
        )
    return found


def core(spec: Spec) -> nn.Module:
    """The core of a layer that a scheme writes as a whole, by the implementation that was asked for."""
    assert spec.impl is not None, "a layer is built to be computed"
    return implementation(spec.impl).build(spec)


def names() -> tuple[str, ...]:
    """Those that ship, the plainest first."""
    return (*PREFERRED, *(name for name in Impl.values() if name not in PREFERRED))


def reason(name: str, scheme: SchemeFacts, shape: Shape, device: DeviceName) -> str | None:
    """Why an implementation cannot compute a scheme; None where it can.

    An entry of the catalogue that stands for one way to compute another's maths is computed in no other.
    """
    entries = scheme.card.impls
    if entries and name not in entries and not name.endswith(".py"):
        return f"the entry stands for {scheme.maths} by {' or '.join(entries)}"
    return implementation(name).can(scheme, shape, device)
