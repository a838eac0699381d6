"""Which targets are known by their names, so that what was counted of them may be remembered."""

from __future__ import annotations

from pathlib import Path

from attnprof.contracts import Target
from attnprof.layered_target import LayeredTarget
from attnprof.locate import PACKAGE, shipped
from attnprof.naming import is_stack_text


def is_of_catalogue(target: Target) -> bool:
    """Whether a stack is made of schemes of the catalogue alone and called by its text, which then says all of it."""
    ours = (shipped("patterns"), PACKAGE)
    return (
        isinstance(target, LayeredTarget)
        and is_stack_text(target.name)
        and all(
            file.endswith(".toml") or any(Path(file).is_relative_to(home) for home in ours) for file in target.files
        )
    )
