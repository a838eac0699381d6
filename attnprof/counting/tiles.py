"""Which query-key pairs a fused attention kernel really computes: the tiles it visits, not the edges it keeps."""

from __future__ import annotations

from typing import NamedTuple


class KernelTiles(NamedTuple):
    """Pairs of query and key that are computed for one head, and the tile that they are computed in."""

    pairs: int
    tile: str


def flash_cpu_split(n: int) -> int:
    """Rows of a query block in torch's CPU flash kernel: 256 for long sequences, 64 and 32 for short ones."""
    if n >= 768:
        return 256
    return 64 if n >= 192 else 32


FLASH_CPU_KEYS = 512


def flash_cpu(n: int, m: int, causal: bool) -> KernelTiles:
    """torch's CPU flash kernel: query blocks of 256, 64 or 32 rows against key blocks of 512.

    With `causal` a query block stops at the key block that holds its last row (aligned top left), and that block is
    computed whole; without it every pair is. A mask skips nothing.
    """
    rows = flash_cpu_split(n)
    name = f"{rows} x {FLASH_CPU_KEYS} (CPU flash)"
    if not causal:
        return KernelTiles(n * m, name)
    pairs = 0
    for first in range(0, n, rows):
        last = min(first + rows, n)
        blocks = -(-min(last, m) // FLASH_CPU_KEYS)
        pairs += (last - first) * min(blocks * FLASH_CPU_KEYS, m)
    return KernelTiles(pairs, name)


def triangle(n: int, m: int, causal: bool, *, bottom_right: bool = False) -> KernelTiles:
    """Exactly the pairs that are kept, for kernels whose tile is not known.

    Top left: query i reads keys 0..i. Bottom right: the last query reads the last key.
    """
    if not causal:
        return KernelTiles(n * m, "unknown: all pairs")
    shift = m - n if bottom_right else 0
    pairs = staircase(n, m, shift)
    return KernelTiles(pairs, f"unknown: exact triangle, aligned {'bottom right' if bottom_right else 'top left'}")


def band(n: int, m: int, behind: int | None, ahead: int | None, *, bottom_right: bool) -> KernelTiles:
    """Exactly the pairs of a window: keys from `behind` before a query's own place to `ahead` after it; None: all."""
    shift = m - n if bottom_right else 0
    until = n * m if ahead is None else staircase(n, m, shift + ahead)
    before = 0 if behind is None else staircase(n, m, shift - behind - 1)
    return KernelTiles(until - before, f"unknown: exact band, aligned {'bottom right' if bottom_right else 'top left'}")


def staircase(n: int, m: int, shift: int) -> int:
    """Sum over i in [0, n) of min(max(i + 1 + shift, 0), m), in constant time."""
    first = max(0, -shift)
    full = min(max(m - shift, 0), n)
    rising = max(0, full - first)
    low, high = first + 1 + shift, full + shift
    return rising * (low + high) // 2 + max(0, n - max(full, first)) * m
