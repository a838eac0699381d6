"""Closed counts of the edges that patterns are made of, from n alone: laws hold them to the edges as counted."""

from __future__ import annotations


def all_pairs(n: int, causal: bool = False) -> int:
    """Every query with every key, or with those up to itself."""
    return n * (n + 1) // 2 if causal else n * n


def block_pairs(n: int, size: int, causal: bool = False) -> int:
    """The pairs within disjoint blocks of `size` tokens, of which the last may be short."""
    whole, rest = divmod(n, size)
    return whole * all_pairs(size, causal) + all_pairs(rest, causal)


def band_pairs(n: int, before: int, after: int = 0, step: int = 1) -> int:
    """Each token with itself, `before` keys before it and `after` behind it, `step` apart, as far as there are any."""
    return n + _side(n, before, step) + _side(n, after, step)


def _side(n: int, reach: int, step: int) -> int:
    """Pairs with i - j = k step for 1 <= k <= reach: lag k loses k step rows to the end."""
    reach = min(reach, (n - 1) // step)
    return reach * n - step * reach * (reach + 1) // 2
