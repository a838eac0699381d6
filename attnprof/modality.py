"""Whether samples fall into groups: Hartigan's dip, the distance of their distribution from the nearest unimodal one.

Hartigan and Hartigan (1985), The dip test of unimodality, Annals of Statistics 13(1), 70-84. Of all unimodal
distributions a uniform one dips most, so that what it hardly ever reaches no single group reaches more often.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np

LIMIT = 0.7  # of dip times the root of the count: a uniform distribution exceeds it once in 1000, at 120 samples
FEWEST = 9  # samples: of fewer, no groups reach it
TIE = 1e-3  # of the least distance between samples that differ
APART = 0.03  # relative to the median: groups that lie closer are no matter (and a clock's ticks are such groups)


def is_multimodal(rounds: Iterable[Sequence[float]]) -> bool:
    """Whether the samples of any process fall into groups; wrong of one group at most once in 100 times, at 10 rounds.

    Processes are asked apart: that two of them differ is what an interval over rounds says.
    """
    return any(_in_groups(samples) for samples in rounds)


def dip(samples: Iterable[float]) -> float:
    """The largest distance of an empirical distribution function from the nearest unimodal one: 1/(2 n) to 1/4."""
    values, counts = np.unique(np.fromiter(samples, dtype=np.float64), return_counts=True)
    count = int(counts.sum())
    found = 1 / max(count, 1)
    if len(values) < 2:
        return found / 2
    width = TIE * np.diff(values).min()  # equal samples are a group, as narrow as can be
    x = np.concatenate([value + width * np.linspace(0, 1, k) for value, k in zip(values, counts, strict=True)])
    below, above = np.arange(count) / count, np.arange(1, count + 1) / count
    low, high = 0, count - 1
    while low < high:
        rising = _hull(x, below, low, high, 1.0)
        falling = _hull(x, above, low, high, -1.0)
        at = np.arange(low, high + 1)
        convex = np.interp(x[at], x[rising], below[rising])
        concave = np.interp(x[at], x[falling], above[falling])
        apart = [(concave[i - low] - convex[i - low], i) for i in {*rising, *falling}]
        widest, where = max(apart)
        if widest <= found:
            break
        left = max(i for i in rising if i <= where)
        right = min(i for i in falling if i >= where)
        before, after = at <= left, at >= right
        found = max(found, *(above[at] - convex)[before], *(concave - below[at])[after])
        if (left, right) == (low, high):
            break
        low, high = left, right
    return float(found) / 2


def _hull(x: np.ndarray, y: np.ndarray, low: int, high: int, sign: float) -> list[int]:
    """The indices at which the greatest convex function below points touches them; for -1 the least concave above."""
    kept: list[int] = []
    for i in range(low, high + 1):
        while len(kept) > 1 and sign * _turn(x, y, kept[-2], kept[-1], i) <= 0:
            kept.pop()
        kept.append(i)
    return kept


def _turn(x: np.ndarray, y: np.ndarray, a: int, b: int, c: int) -> float:
    return float((x[b] - x[a]) * (y[c] - y[a]) - (x[c] - x[a]) * (y[b] - y[a]))


def _in_groups(samples: Sequence[float]) -> bool:
    if len(samples) < FEWEST:
        return False
    low, middle, high = np.quantile(samples, (0.1, 0.5, 0.9))
    return high - low > APART * middle and dip(samples) * math.sqrt(len(samples)) > LIMIT
