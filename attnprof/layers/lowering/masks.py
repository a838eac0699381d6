"""The masks within the tiles of a part: made with the plan where they are small, else with its tensors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from attnprof.layers.lowering.tiling import TilePart
from attnprof.pattern.slices import Bools, Ints

SMALL = 1 << 22
MOST = 1 << 26


class TooWide(Exception):
    """The structure of a pattern needs tables that are too large for a plan; its tiles may still be few."""


def cut(part: TilePart, make: Callable[[], Bools], *, reads: bool) -> TilePart:
    """A part whose tiles all have one mask, `make() -> [q_block, width]`.

    `reads` says whether each row, padding included, has a key under it.
    """
    if part.q_block * part.width <= SMALL:
        return replace(part, relative=needed(make()))
    shape = (1, part.count, part.q_block, part.width)
    return replace(part, full=lambda: np.broadcast_to(make(), shape), reads=reads)


def needed(relative: Bools) -> Bools | None:
    """The mask, or None where it would mask nothing."""
    return None if bool(relative.all()) else relative


def masked(part: TilePart) -> TilePart:
    """The part with the mask of its padding, where there is any. Raises `TooWide` where that is too large.

    One of no pairs is left as it is, for `lower` to drop.
    """
    if not part.executed:
        return part
    fits(part.count * part.width)
    ok = part.allowed()
    return part if bool(ok.all()) else replace(part, key_ok=ok)


def fits(entries: int, item_bytes: int = 1) -> None:
    """Raise `TooWide` for a table that is larger than a plan should have; making it takes a few times its size."""
    if entries * item_bytes > MOST:
        raise TooWide


def by_lag(ok: Callable[[Ints], Bools], rows: int, width: int, ahead: int, step: int = 1) -> Bools | None:
    """The mask `[rows, width]` of a rule of the lag, `step * (ahead + row - column)`; None where it masks nothing."""
    found = ok((np.arange(rows - 1, -width, -1) + ahead) * step)
    if bool(found.all()):
        return None
    return np.ascontiguousarray(np.lib.stride_tricks.sliding_window_view(found, width)[::-1])
