"""The fixed patterns among sinks, neighbourhoods, compressed and shared keys, from each paper's definition."""

from __future__ import annotations

from math import ceil
from typing import Any

import numpy as np

from attnprof.units import Value
from tests.laws.papers import Define, Mask, Through, complete, side_of, width_of, window


def sink_logits(i: Mask, j: Mask, *, window: int = 128, **_: Any) -> Mask:
    """OpenAI 2025, section 2.2: the last `window` tokens, itself among them; a sink is no token."""
    return (j <= i) & (i - j < max(window, 1))


def hca(i: Mask, j: Mask, *, n: int, window: int = 128, rate: int = 128, **_: Any) -> Mask | Through:
    """DeepSeek-V4's code: the last tokens, and every entry of `rate` tokens that is complete."""
    slot = np.arange(n // rate)
    near = (j <= i) & (i - j < window)
    return Through(j // rate == slot[:, None], (slot + 1) * rate <= i + 1, near) if len(slot) else near


def neighbours(length: int, kernel: int, dilation: int, causal: bool) -> list[list[int]]:
    """Hassani and Shi 2022, equations 2 and 5: those of the own residue that are nearest.

    As many as the kernel has wherever there are as many, half of them before the place, rounded up if even.
    """
    found = []
    for place in range(length):
        alike = list(range(place % dilation, length, dilation))
        own = alike.index(place)
        start = own - kernel + 1 if causal else min(own - kernel // 2, len(alike) - kernel)
        stop = own + 1 if causal else max(start, 0) + kernel
        found.append(alike[max(start, 0) : stop])
    return found


def natten(
    i: Mask, j: Mask, *, n: int, causal: bool, kernel: int = 7, dilation: int = 1, layout: str = "grid", **_: Any
) -> Mask:
    """The neighbours of each axis, on a grid of as few rows as a square of n has."""
    if layout == "line":
        if causal:
            return window(i, j, causal=True, window=kernel, dilation=dilation)
        near = neighbours(n, kernel, dilation, causal)
        return np.array([[key in near[query] for key in range(n)] for query in range(n)], dtype=np.bool_)
    across, down = width_of(n), side_of(n)
    columns, rows = (neighbours(size, kernel, dilation, causal) for size in (across, down))
    mask = np.zeros((n, n), dtype=np.bool_)
    for query in range(n):
        keys = [row * across + column for row in rows[query // across] for column in columns[query % across]]
        mask[query, [key for key in keys if key < n]] = True
    assert ceil(n / across) <= down
    return mask


DEFINITIONS: dict[str, tuple[Define, list[dict[str, Value]]]] = {
    "evicting": (complete, []),
    "hca": (hca, [{"window": 16, "rate": 8}, {"window": 4, "rate": 3}]),
    "neighbourhood": (
        natten,
        [
            {"kernel": 3, "layout": "line"},
            {"kernel": 4, "layout": "line", "dilation": 3},
            {"kernel": 4, "layout": "grid"},
            {"kernel": 3, "layout": "grid", "dilation": 2},
        ],
    ),
    "sink_logits": (sink_logits, [{"window": 16}, {"window": 1}]),
}
