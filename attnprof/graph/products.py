"""A relation times a vector, through running sums: O(slices), whatever the number of edges."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from attnprof.pattern import Slices

Vector = NDArray[np.float64]


def pull(slices: Slices, x: NDArray) -> NDArray:
    """A x: for each query the sum of `x [m]` over the keys that it reads, `[n]`. Integers wrap, floats round."""
    total = np.zeros(slices.n, dtype=x.dtype)
    for step, mine in slices.by_step():
        padded = np.pad(x, (step, -len(x) % step))
        runs = padded.reshape(-1, step).cumsum(axis=0, dtype=x.dtype).ravel()
        last = mine.start + (mine.counts - 1) * step
        np.add.at(total, mine.row, runs[last + step] - runs[mine.start])
    return total


def push(slices: Slices, w: NDArray) -> NDArray:
    """A^T w: each query hands its `w [n]` to every key that it reads, `[m]`."""
    total = np.zeros(slices.m, dtype=w.dtype)
    for step, mine in slices.by_step():
        diff = np.zeros(-(-(slices.m + step) // step) * step, dtype=w.dtype)
        np.add.at(diff, mine.start, w[mine.row])
        np.subtract.at(diff, mine.start + mine.counts * step, w[mine.row])
        total += diff.reshape(-1, step).cumsum(axis=0, dtype=w.dtype).ravel()[: slices.m]
    return total


def is_symmetric(slices: Slices, seed: int = 0) -> bool:
    """Whether i reads j exactly when j reads i, by a random vector over 64-bit integers.

    An asymmetric mask passes with probability 2^-64; a symmetric one always.
    """
    if slices.n != slices.m:
        return False
    x = np.random.default_rng(seed).integers(0, 2**64, slices.n, dtype=np.uint64)
    return bool((pull(slices, x) == push(slices, x)).all())
