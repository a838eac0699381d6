"""Several tokens through a step that takes one: what each of them leaves is what the next one finds."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import torch
from torch import Tensor

TakesToken = Callable[..., tuple[Tensor, Any]]


def in_turn(axis: int = 2, beside: int = 0) -> Callable[[TakesToken], TakesToken]:
    """Make `step(self, *streams, state)` take as many tokens as the streams have along `axis`, one after the other.

    The first `beside` of the streams are of no token, and are given to each.
    """

    def taking_several(step: TakesToken) -> TakesToken:
        @wraps(step)
        def several(self: object, *given: Any) -> tuple[Tensor, Any]:
            shared, streams, state = given[:beside], given[beside:-1], given[-1]
            if streams[0].shape[axis] == 1:
                return step(self, *given)
            rows = []
            for token in zip(*(x.split(1, axis) for x in streams), strict=True):
                row, state = step(self, *shared, *token, state)
                rows.append(row)
            return torch.cat(rows, axis), state

        return several

    return taking_several
