"""A window of 9 to both sides, as a pattern file."""

from __future__ import annotations

from attnprof.pattern import Band, Expr


def pattern(n: int) -> Expr:
    """Who reads whom."""
    return Band(9, 9)
