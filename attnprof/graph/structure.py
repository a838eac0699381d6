"""What shape a relation has: complete, band, Toeplitz, block-constant, with hubs. All exact, in O(slices)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from attnprof.graph.blocked import BlockConstant
from attnprof.pattern import Slices
from attnprof.pattern.slices import Bools, Ints

MOST_LAGS = 256


@dataclass(frozen=True)
class BandShape:
    """Query i reads i - before * dilation, ..., i + after * dilation, cut at the ends."""

    before: int
    after: int
    dilation: int


def is_complete(slices: Slices, causal: bool) -> bool:
    """Whether every query reads every allowed key."""
    allowed = np.arange(1, slices.n + 1) if causal else np.full(slices.n, slices.m)
    return bool((slices.out_degree() >= allowed).all())


def band_of(slices: Slices) -> BandShape | None:
    """The band that these slices are, if they are one."""
    n = slices.n
    if len(slices.row) != n or not bool((slices.row == np.arange(n)).all()):
        return None
    i = slices.row
    dilation = int(slices.step.max())
    before = int(((i - slices.start) // dilation).max())
    after = int(((slices.stop - 1 - i) // dilation).max())
    start = i - dilation * np.minimum(before, i // dilation)
    last = i + dilation * np.minimum(after, (n - 1 - i) // dilation)
    steps = (slices.step == dilation) | (slices.stop - slices.start == 1)
    same = (slices.start == start) & (slices.stop == last + 1) & steps
    return BandShape(before, after, dilation) if before >= 0 and after >= 0 and bool(same.all()) else None


def hubs_of(slices: Slices) -> Bools:
    """Tokens that read every token and are read by every token, `[n]`."""
    return (slices.out_degree() == slices.m) & (slices.in_degree() == slices.n)


def lags_of(slices: Slices) -> Slices | None:
    """The lags i - j >= 0 of a causal Toeplitz mask as slices of one row, if it is one."""
    n = slices.n
    last = slices.take(slices.row == n - 1)
    if bool((slices.stop - 1 > slices.row).any()) or len(last.row) > MOST_LAGS or not is_toeplitz(slices):
        return None
    return Slices.of(1, 0, n - last.stop, n - last.start, last.step, n).disjoint()


def is_toeplitz(slices: Slices) -> bool:
    """Whether being an edge depends on i - j alone: the first row gives the lags ahead, the last those behind.

    Every slice must lie within these lags, and every row must have as many keys as they leave it.
    """
    n = slices.n
    ends = slices.take((slices.row == 0) | (slices.row == n - 1))
    if len(ends.row) > 2 * MOST_LAGS:
        return False
    member = np.zeros(2 * n - 1, dtype=np.bool_)
    member[np.repeat(ends.row, ends.counts) - ends.csr()[1] + n - 1] = True
    before = np.concatenate([[0], np.cumsum(member)])
    i = np.arange(n)
    if not bool((slices.out_degree() == before[i + n] - before[i]).all()):
        return False
    for step in np.unique(slices.step).tolist():
        mine = slices.take(slices.step == step)
        runs = _running(member, step)
        low, high = mine.row - mine.stop + n, mine.row - mine.start + n - 1
        if not bool((runs[high + step] - runs[low] == mine.counts).all()):
            return False
    return True


def _running(member: Bools, step: int) -> Ints:
    """`runs[t + step]` counts members among t, t - step, t - 2 * step, ..."""
    padded = np.pad(member.astype(np.int64), (step, -len(member) % step))
    return padded.reshape(-1, step).cumsum(axis=0).ravel()


def blocks_of(slices: Slices, least: int = 2) -> BlockConstant | None:
    """The block quotient with the largest blocks of at least `least` tokens that divide n, if the mask has one."""
    if len(slices.row) == 0 or bool((slices.step != 1).any()):
        return None
    diagonal = slices.stop == slices.row + 1
    size = math.gcd(slices.n, _gcd(slices.start), _gcd(slices.stop[~diagonal]))
    for causal in (False, True):
        found = _blocked(slices, diagonal, size, causal)
        if found is not None and found.size >= least:
            return found
    return None


def _blocked(slices: Slices, diagonal: Bools, size: int, causal: bool) -> BlockConstant | None:
    stop = slices.stop
    if causal:
        if bool((stop - 1 > slices.row).any()):
            return None
        stop = np.where(diagonal, (stop + size - 1) // size * size, stop)
    else:
        size = math.gcd(size, _gcd(stop))
    finer = math.gcd(size, _gcd(_changes(slices, stop)))
    if finer != size:
        return _blocked(slices, diagonal, finer, causal)
    first = slices.row % size == 0
    row, start, stop = (a[first] // size for a in (slices.row, slices.start, stop))
    return BlockConstant(size, Slices.of(slices.n // size, row, start, stop), causal)


def _changes(slices: Slices, stop: Ints) -> Ints:
    """Rows whose slices differ from those of the row before."""
    first = np.searchsorted(slices.row, np.arange(slices.n + 1))
    size = np.diff(first)
    differs = np.concatenate([[False], size[1:] != size[:-1]])
    again = np.flatnonzero((slices.row > 0) & ~differs[slices.row])
    before = again - size[slices.row[again]]
    unlike = (slices.start[again] != slices.start[before]) | (stop[again] != stop[before])
    differs[slices.row[again[unlike]]] = True
    return np.flatnonzero(differs)


def _gcd(values: Ints) -> int:
    return int(np.gcd.reduce(values)) if len(values) else 0


def self_reading(slices: Slices) -> Bools:
    """Queries whose own key is among what they read, `[n]`."""
    found = np.zeros(slices.n, dtype=np.bool_)
    inside = (slices.start <= slices.row) & (slices.row < slices.stop)
    found[slices.row[inside & ((slices.row - slices.start) % slices.step == 0)]] = True
    return found
