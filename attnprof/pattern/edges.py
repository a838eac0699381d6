"""A pattern bound to a length: who attends to whom in each layer and head."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

from attnprof.errors import AttnprofError
from attnprof.pattern.apart import on_real_numbers
from attnprof.pattern.expr import Expr
from attnprof.pattern.given import Drawn
from attnprof.pattern.slices import Bools, Slices
from attnprof.pattern.slots import Kernel, Slots


@dataclass(frozen=True, eq=False)
class Pattern:
    """The edges of a scheme at one length, for `layers` layer kinds and `heads` head kinds.

    `draw(layer, head)` gives the expression; a layer or head beyond the kinds repeats them. Everything else a reader
    could want (CSR, mask, BlockMask, picture, graph) follows from `slices`. `bound` says why there may be fewer edges
    than these, where there may. `longer(more)` is the pattern of so many tokens more, where that is another.
    """

    name: str
    n: int
    causal: bool
    draw: Callable[[int, int], Expr]
    layers: int = 1
    heads: int = 1
    bound: str = ""
    longer: Callable[[int], Pattern] | None = None
    _seen: dict[tuple[int, int], Expr] = field(default_factory=dict, repr=False)
    _slices: dict[tuple[int, int], Slices] = field(default_factory=dict, repr=False)

    def expr(self, layer: int = 0, head: int = 0) -> Expr:
        """The expression of one layer and head."""
        at = (layer % self.layers, head % self.heads)
        if at not in self._seen:
            self._seen[at] = self._drawn(*at)
        return self._seen[at]

    def reaching(self, n: int) -> Pattern:
        """The pattern that has rows for n tokens at least, with the parameters of this one."""
        return self if n <= self.n or self.longer is None else self.longer(n - self.n)

    @on_real_numbers
    def _drawn(self, layer: int, head: int) -> Expr:
        expr = self.draw(layer, head)
        if not isinstance(expr, Expr):
            raise AttnprofError(
                f"the pattern of {self.name} is {expr!r}, no expression of `attnprof.pattern`",
                hint="return one, e.g. Band(256) | Global(4); Explicit(Slices.from_pairs(n, rows, keys)) for any edges",
            )
        return expr

    def slices(self, layer: int = 0, head: int = 0) -> Slices:
        """The edges of one layer and head as slices, each edge once."""
        at = (layer % self.layers, head % self.heads)
        if at not in self._slices:
            self._slices[at] = self.expr(*at).slices(self.n)
        return self._slices[at]

    def edges(self, layer: int = 0, head: int = 0) -> int:
        """Distinct edges of one layer and head: what reach depends on."""
        at = (layer % self.layers, head % self.heads)
        if at in self._slices or isinstance(self.expr(*at), Drawn):
            return self.slices(*at).edges
        return self.expr(*at).edges(self.n)

    def edges_sum(self, layer: int = 0, head: int = 0) -> int:
        """Edges counted once for each softmax that reads them: what cost depends on."""
        terms = self.expr(layer, head).terms()
        if len(terms) == 1 and not isinstance(terms[0], Drawn):
            return self.edges(layer, head)
        return sum(term.edges(self.n) for term in terms)

    def union(self, layer: int = 0) -> Slices:
        """What one whole layer can do: the union over its heads."""
        first, *rest = (self.slices(layer, head) for head in range(self.heads))
        return first.joined(*rest).disjoint() if rest else first

    def dense(self, layer: int = 0, head: int = 0) -> Bools:
        """The mask `[n, n]`, True where an edge is; n * n bytes, for small n."""
        return self.slices(layer, head).dense()

    @cached_property
    def has_edges(self) -> bool:
        """Whether tokens read tokens directly (no slots, no kernel)."""
        return not any(isinstance(self.expr(layer), (Slots, Kernel)) for layer in range(self.layers))
