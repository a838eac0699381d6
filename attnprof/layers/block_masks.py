"""How many tiles of a BlockMask are alive, where its tensors are counted and have no values."""

from __future__ import annotations

from typing import Any

from torch import Tensor


def note_live(count: Tensor, live: int) -> None:
    """Remember of a tensor of tile counts what its values add up to."""
    noted: Any = count
    noted.attnprof_live = live


def noted_live(count: Tensor) -> int | None:
    """What a tensor of tile counts adds up to, if that was noted."""
    return vars(count).get("attnprof_live")
