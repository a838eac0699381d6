"""What practitioners set by length: opt-in parameters that grow with n. No exponent is fitted to a run with them."""

from __future__ import annotations

from attnprof.targets import catalog
from attnprof.units import Value


def by_length(target: str, n: int) -> dict[str, Value]:
    """The parameters that the preset gives a scheme at length n; none to what is not of the catalogue."""
    params = catalog.entry(target).params if target in catalog.names() else {}
    return {name: param.usual(n) for name, param in params.items() if param.by_length}
