"""One token more under a pattern: a ring of the last keys, for a causal band, whatever runner executes its forward."""

from __future__ import annotations

from torch import Tensor

from attnprof.errors import Unsupported
from attnprof.layers.cache import Cache, cached, decode_step, random_cache
from attnprof.pattern import Band
from attnprof.scheme import Spec


class BandDecoding:
    """`state`, `prefill` and `step` of a core whose pattern is one causal band, dilated or not, in every head."""

    spec: Spec

    def state(self, n: int) -> Cache:
        """Keys and values of the last tokens that a query can read, of random content."""
        return random_cache(self.spec.shape, n, ring(band(self.spec)))

    def prefill(self, q: Tensor, k: Tensor, v: Tensor) -> Cache:
        """The state after the tokens `k, v [b, g, n, d]`."""
        return cached(k, v, ring(band(self.spec)))

    def step(self, q: Tensor, k: Tensor, v: Tensor, state: Cache) -> tuple[Tensor, Cache]:
        """One token more over the keys of its row: at most `before + 1` of them."""
        return decode_step(q, k, v, state, band(self.spec).dilation)


def band(spec: Spec) -> Band:
    """The band of a pattern that is nothing else. Raises `Unsupported` for any other."""
    assert spec.pattern is not None
    expr = spec.pattern.expr(spec.layer)
    if spec.pattern.heads > 1 or not isinstance(expr, Band) or expr.after:
        raise Unsupported(
            f"{spec.pattern.name} cannot decode token by token: a runner does that for causal bands only",
            hint="sliding_window --causal",
        )
    return expr


def ring(expr: Band) -> int:
    """Tokens that a query reaches back over, itself included."""
    return expr.before * expr.dilation + 1
