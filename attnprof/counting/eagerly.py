"""Fake tensors through libraries that take another path when they think that they are traced.

transformers keeps an [n, n] mask under a trace, which it leaves out of an eager run, because it may not look whether
sequences are packed. Inputs made here are whole sequences, so the answer is known. Nothing here is trusted: a real run
at a small length is held against the fake one afterwards.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import warnings
from collections.abc import Callable, Iterator
from types import ModuleType

MASKS = "transformers.masking_utils"


def _unpadded(padding_mask: object, kv_length: int, local_attention_size: int | None = None) -> bool:
    """That a mask may be left out: nothing is padded, and no window is narrower than the sequence."""
    return local_attention_size is None or kv_length < local_attention_size


# Our inputs are one whole sequence an entry: position ids run from 0 on without a gap, and nothing is padded.
ANSWERS: dict[str, Callable[..., object]] = {
    "find_packed_sequence_indices": lambda position_ids: None,
    "_ignore_bidirectional_mask_sdpa": _unpadded,
}


@contextlib.contextmanager
def eagerly() -> Iterator[None]:
    """While it lasts, libraries that are loaded answer on fake tensors as they would on our real ones."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(quietly())
        masks = sys.modules.get(MASKS)
        if masks is not None:
            for name, answer in ANSWERS.items():
                stack.enter_context(_replaced(masks, name, answer))
        yield


@contextlib.contextmanager
def _replaced(module: ModuleType, name: str, answer: Callable[..., object]) -> Iterator[None]:
    """A function of a module, replaced for a while; nothing where this version of the library has none."""
    kept = vars(module).get(name)
    if kept is not None:
        setattr(module, name, answer)
    try:
        yield
    finally:
        if kept is not None:
            setattr(module, name, kept)


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Without what libraries log and warn of on the way: what matters comes back as an exception."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
