"""How fast a value grows with n, where the records have at least two lengths to say so."""

from __future__ import annotations

from collections.abc import Mapping

from attnprof.stats import LocalExponent, local_exponents


def steps(values: Mapping[int, float]) -> tuple[LocalExponent, ...]:
    """The exponent between each length and the next, by rising n."""
    return local_exponents(list(values), list(values.values()))
