"""Where labels go: beside dots without covering anything, and beside the ends of lines in a column of their own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from attnprof.render.layout.display import Box, Place

Floats = NDArray[np.float64]
SIDES = 12
DISTANCES = (2.0, 7.0, 14.0, 24.0, 36.0)
COVERED = 1.0  # what it costs to lie on a thin stroke, in the units of the distance


def place(
    anchors: Sequence[tuple[float, float, float]],
    sizes: Sequence[tuple[float, float]],
    frame: Box,
    solid: Sequence[Box],
    thin: Sequence[Box] = (),
) -> list[Place | None]:
    """The centre of a label for each anchor `(x, y, radius)`, in order of importance; None where there is no room.

    A label never meets another, a box of `solid` or the edge of the frame; it lies on `thin` ones only if need be. Of
    the places that are left the nearest is taken, at the right before the left.
    """
    taken = np.asarray(solid, dtype=np.float64).reshape(-1, 4)
    light = np.asarray(thin, dtype=np.float64).reshape(-1, 4)
    found: list[Place | None] = []
    for (x, y, r), (width, height) in zip(anchors, sizes, strict=True):
        centres, cost = _candidates(r, width, height)
        boxes = np.concatenate([centres, centres], axis=1) + np.array([x, y, x, y])
        boxes += np.array([-width / 2, -height / 2, width / 2, height / 2])
        inside = (boxes[:, 0] >= frame[0]) & (boxes[:, 1] >= frame[1])
        inside &= (boxes[:, 2] <= frame[2]) & (boxes[:, 3] <= frame[3])
        free = inside & ~_meet(boxes, taken).any(axis=1)
        if not free.any():
            found.append(None)
            continue
        covered = _meet(boxes, light).sum(axis=1) if len(light) else 0
        total = np.where(free, cost + COVERED * 6 * covered, np.inf)
        best = int(np.argmin(total))
        taken = np.concatenate([taken, boxes[best : best + 1]])
        found.append((round(x + float(centres[best, 0]), 1), round(y + float(centres[best, 1]), 1)))
    return found


_ANGLES = np.arange(SIDES) * 2 * math.pi / SIDES
_SIDES = np.tile(np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], axis=1), (len(DISTANCES), 1))
_AWAY = np.repeat(np.array(DISTANCES), SIDES)
_COST = _AWAY + 1.5 * (1 - _SIDES[:, 0]) + 0.5 * np.abs(_SIDES[:, 1]) + 0.3 * (_SIDES[:, 1] > 0)


def _candidates(r: float, width: float, height: float) -> tuple[Floats, Floats]:
    """Centres around a dot, nearest first, `[k, 2]`, with what each costs, `[k]`."""
    return _SIDES * (r + _AWAY[:, None] + np.array([width / 2, height / 2])), _COST


def _meet(boxes: Floats, others: Floats) -> NDArray[np.bool_]:
    """Which boxes meet which others, `[boxes, others]`."""
    return (
        (boxes[:, None, 0] < others[None, :, 2])
        & (boxes[:, None, 2] > others[None, :, 0])
        & (boxes[:, None, 1] < others[None, :, 3])
        & (boxes[:, None, 3] > others[None, :, 1])
    )


def along(places: Sequence[Place], step: float = 7.0, half: float = 2.0) -> list[Box]:
    """Small boxes along a line, for labels to keep off."""
    found: list[Box] = []
    for (x0, y0), (x1, y1) in pairwise(places):
        count = max(int(math.hypot(x1 - x0, y1 - y0) / step), 1)
        for k in range(count + 1):
            x, y = x0 + (x1 - x0) * k / count, y0 + (y1 - y0) * k / count
            found.append((x - half, y - half, x + half, y + half))
    return found


def spread(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Heights of labels in a column, none closer to the next than `gap`, each as near as may be to the one it wants."""
    order = sorted(range(len(wanted)), key=lambda k: (wanted[k], k))
    if len(order) > 1:
        gap = min(gap, (high - low) / (len(order) - 1))
    runs: list[list[int]] = []
    for k in order:
        members = [k]
        while runs and _first(runs[-1], wanted, gap, low, high) + gap * len(runs[-1]) > _first(
            members, wanted, gap, low, high
        ):
            members = runs.pop() + members
        runs.append(members)
    found = [0.0] * len(wanted)
    for members in runs:
        first = _first(members, wanted, gap, low, high)
        for rank, k in enumerate(members):
            found[k] = round(first + gap * rank, 1)
    return found


def _first(members: Sequence[int], wanted: Sequence[float], gap: float, low: float, high: float) -> float:
    """Where the first of a run of touching labels lies, so that the run is centred on what its members want."""
    size = gap * (len(members) - 1)
    middle = sum(wanted[k] for k in members) / len(members)
    return max(low, min(middle - size / 2, high - size))
