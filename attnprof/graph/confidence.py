"""Intervals of what was sampled: each covers the truth at least as often as it says, also in small samples.

None of them rests on a normal approximation, so that samples that are all alike, or all at the edge, do not give an
interval of no width.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
TAIL = 0.025
RESAMPLES = 4000
DRAWN_TAIL = 0.02
"""A little less than `TAIL`: a quantile of 4000 resamples is itself uncertain by 0.0025."""
LEAST_DRAWS = 6
"""The fewest draws whose least and greatest enclose the median 95 times in 100: 1 - 2 / 2^6 = 0.97."""


def proportion(hits: int, trials: int) -> tuple[float, float]:
    """The exact 95% interval of a probability from `hits` in `trials` (Clopper and Pearson 1934)."""
    from scipy.special import betaincinv

    low = float(betaincinv(hits, trials - hits + 1, TAIL)) if hits else 0.0
    high = float(betaincinv(hits + 1, trials - hits, 1 - TAIL)) if hits < trials else 1.0
    return low, high


def median_interval(values: Sequence[float]) -> tuple[float, float] | None:
    """The 95% interval of the median of what the values are draws of, by order statistics; None below six draws.

    It asks nothing of their distribution (David and Nagaraja 2003, section 7.1); infinite values keep their place.
    """
    from scipy.special import bdtr

    count = len(values)
    if count < LEAST_DRAWS:
        return None
    skipped = max(k for k in range(count // 2) if k == 0 or bdtr(k, count, 0.5) <= TAIL)
    ranked = sorted(values)
    return ranked[skipped], ranked[count - 1 - skipped]


def mean_intervals(values: Numbers, rng: np.random.Generator) -> tuple[Numbers, Numbers]:
    """95% intervals of the means of quantities in [0, 1] from samples of them, `[samples, quantities]`.

    The limit of Gaffke (2005; Learned-Miller and Thomas 2020): the samples and one more at the worst value possible,
    weighted uniformly at random. Of zeros and ones it is the exact limit of a probability.
    """
    samples = len(values)
    weights = rng.standard_exponential((RESAMPLES, samples + 1))
    weights /= weights.sum(axis=1, keepdims=True)
    known = weights[:, :-1] @ values
    worst = weights[:, -1:]
    return np.quantile(known, DRAWN_TAIL, axis=0), np.quantile(known + worst, 1 - DRAWN_TAIL, axis=0)
