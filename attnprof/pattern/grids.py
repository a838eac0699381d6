"""Where tokens fill a grid by rows, and where a scheme takes two steps in turn: sizes and turns that schemes share."""

from __future__ import annotations

from math import isqrt


def grid_side(n: int) -> int:
    """The side of the smallest square that holds n tokens: the least number at or above sqrt(n)."""
    return isqrt(n - 1) + 1


def grid_width(n: int) -> int:
    """The width of the grid that n tokens fill: ceil(n / H), H its height, the side of the square."""
    return -(-n // grid_side(n))


def root_power(n: int) -> int:
    """The power of two at or above sqrt(n)."""
    return 1 << (grid_side(n) - 1).bit_length()


def turn(combine: str, layer: int, head: int) -> int | None:
    """Which of two steps a layer and head takes: layers `alternate`, or `heads` do; None: both (`merge`)."""
    return {"alternate": layer % 2, "heads": head % 2}.get(combine)
