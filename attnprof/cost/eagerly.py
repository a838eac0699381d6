"""Fake tensors through libraries that take another path when they think that they are traced.

transformers keeps an [n, n] mask under a trace, which it leaves out of an eager run, because it may not look whether
sequences are packed. Inputs made here are whole sequences, so the answer is known. Nothing here is trusted: a real run
at a small length is held against the fake one afterwards.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

MASKS = "transformers.masking_utils"


@contextlib.contextmanager
def eagerly() -> Iterator[None]:
    """While it lasts, libraries that are loaded answer on fake tensors as they would on our real ones."""
    with contextlib.ExitStack() as stack:
        masks = sys.modules.get(MASKS)
        if masks is not None:
            for name, answer in ANSWERS.items():
                stack.enter_context(_replaced(masks, name, answer))
        yield


# Our position ids run from 0 on without a gap: one sequence an entry.
ANSWERS: dict[str, Callable[..., Any]] = {"find_packed_sequence_indices": lambda position_ids: None}


@contextlib.contextmanager
def _replaced(module: ModuleType, name: str, answer: Callable[..., Any]) -> Iterator[None]:
    """A function of a module, replaced for a while; nothing where this version of the library has none."""
    kept = vars(module).get(name)
    if kept is not None:
        setattr(module, name, answer)
    try:
        yield
    finally:
        if kept is not None:
            setattr(module, name, kept)
