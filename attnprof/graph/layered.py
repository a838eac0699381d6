"""A stack of layers as a graph over tokens: what every engine and metric works on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from attnprof.graph.blocked import BlockConstant, blocked_form, union
from attnprof.graph.relation import Relation
from attnprof.graph.slotted import Slotted, direct_of, slots_of
from attnprof.graph.token_edges import TokenEdges
from attnprof.graph.walks import Head, Walk, walk_of
from attnprof.pattern import Expr, Pattern, Slices, Sum, Union
from attnprof.pattern.slices import Ints

LEAST_BLOCK = 4


@dataclass(frozen=True, eq=False)
class LayeredRelation:
    """The layers of a model as relations between `n` tokens, bottom layer first; the kinds repeat upwards.

    The residual stream is a self-loop on every token, whether or not the mask has the diagonal. `declared` is the
    causality that was asked for; `causal` is what the edges themselves say. `parts` are unions over heads, which is
    what reach follows; what the heads weigh is in `walk`, from `pattern` (None: each layer is one head), whose
    expressions `forms` has made into relations.
    """

    n: int
    parts: tuple[Relation, ...]
    declared: bool = False
    pattern: Pattern | None = None
    forms: Forms | None = None

    @classmethod
    def of(cls, pattern: Pattern) -> LayeredRelation:
        """The stack of a pattern: each layer is the union over its heads."""
        forms = Forms(pattern.n)
        parts = tuple(layer_of(pattern, layer, forms) for layer in range(pattern.layers))
        return cls(pattern.n, parts, pattern.causal, pattern, forms)

    @classmethod
    def single(cls, slices: Slices, declared: bool = False) -> LayeredRelation:
        """A stack whose layers are all alike."""
        return cls(slices.n, (TokenEdges(slices),), declared)

    def part(self, layer: int) -> Relation:
        """The relation of layer 1, 2, ... counted from the bottom."""
        return self.parts[(layer - 1) % self.period]

    def walk(self, layer: int) -> Walk:
        """Uniform attention of a layer, averaged over its heads."""
        return self._walks[(layer - 1) % self.period]

    @cached_property
    def _walks(self) -> tuple[Walk, ...]:
        if self.pattern is None:
            return tuple(walk_of([Head(part)]) for part in self.parts)
        return tuple(_walk(self.pattern, layer, self.forms or Forms(self.n)) for layer in range(self.period))

    @property
    def period(self) -> int:
        """Number of layer kinds."""
        return len(self.parts)

    @cached_property
    def tokens(self) -> tuple[Slices, ...]:
        """The edges of the layer kinds between tokens, blocks spelled out."""
        return tuple(part.tokens() for part in self.parts)

    @cached_property
    def relations(self) -> tuple[tuple[Slices, ...], ...]:
        """The slices that make up each layer kind, over slots and beside them."""
        return tuple(
            (edges,) if part.ways is None else (part.ways.reads, part.ways.writes, edges)
            for part, edges in zip(self.parts, self.tokens, strict=True)
        )

    @property
    def slotted(self) -> bool:
        """Whether tokens meet in slots in some layer."""
        return any(part.ways is not None for part in self.parts)

    @property
    def plain(self) -> tuple[Slices, ...] | None:
        """The kinds as token edges; None where a layer goes through slots."""
        return None if self.slotted else self.tokens

    @property
    def blocked(self) -> bool:
        """Whether every kind was given on blocks."""
        return all(part.size > 1 for part in self.parts)

    @cached_property
    def reads_future(self) -> bool:
        """Whether some query can see a key after it within one layer."""
        return any(part.reads_future for part in self.parts)

    @cached_property
    def causal(self) -> bool:
        """Whether only the past is allowed: no edge reads the future, and some reads the past or it was declared."""
        return not self.reads_future and (self.declared or any(part.reads_past for part in self.parts))

    @cached_property
    def allowed(self) -> Ints:
        """Tokens that each query may ever reach, itself included, `[n]`: all, or those up to itself if causal."""
        return np.arange(1, self.n + 1) if self.causal else np.full(self.n, self.n, dtype=np.int64)

    @property
    def pairs(self) -> int:
        """Allowed (query, token) pairs, self included."""
        return self.n * (self.n + 1) // 2 if self.causal else self.n * self.n


class Forms:
    """The expressions of a pattern at one length as relations, each made once, however many heads share it."""

    def __init__(self, n: int) -> None:
        self.n = n
        self._blocks: dict[Hashable, BlockConstant | None] = {}
        self._alone: dict[Hashable, Relation] = {}

    def blocks(self, expr: Expr) -> BlockConstant | None:
        """An expression as blocks, where it is made of some."""
        name = signature(expr)
        if name not in self._blocks:
            self._blocks[name] = blocked_form(expr, self.n)
        return self._blocks[name]

    def alone(self, expr: Expr) -> Relation:
        """The relation of one head."""
        name = signature(expr)
        if name not in self._alone:
            self._alone[name] = self.union([expr])
        return self._alone[name]

    def union(self, exprs: Sequence[Expr]) -> Relation:
        """The union of some expressions: as blocks where it is made of blocks, with its slots where it has some."""
        n, slots = self.n, [part for expr in exprs for part in slots_of(expr)]
        if slots:
            direct = [piece.slices(n) for expr in exprs for piece in direct_of(expr)]
            return Slotted.of(n, slots, Slices.empty(n).joined(*direct).disjoint())
        blocks = [self.blocks(expr) for expr in exprs]
        found = [each for each in blocks if each is not None and each.size >= LEAST_BLOCK]
        whole = union(found) if len(found) == len(exprs) else None
        if whole is not None and LEAST_BLOCK <= whole.size < n:
            return whole
        first, *rest = (expr.slices(n) for expr in exprs)
        return TokenEdges(first.joined(*rest).disjoint() if rest else first)


def layer_of(pattern: Pattern, layer: int, forms: Forms | None = None) -> Relation:
    """The union over heads of one layer: as blocks where it is made of blocks, with its slots where it has some."""
    exprs = distinct([pattern.expr(layer, head) for head in range(pattern.heads)])
    made = forms or Forms(pattern.n)
    return made.alone(exprs[0]) if len(exprs) == 1 else made.union(exprs)


def _walk(pattern: Pattern, layer: int, forms: Forms) -> Walk:
    exprs = [pattern.expr(layer, head) for head in range(pattern.heads)]
    counts = Counter(signature(expr) for expr in exprs)
    return walk_of([Head(forms.alone(expr), counts[signature(expr)]) for expr in distinct(exprs)])


def distinct(exprs: list[Expr]) -> list[Expr]:
    """The expressions without those that say the same again (heads often share one pattern)."""
    return list({signature(expr): expr for expr in exprs}.values())


def signature(expr: Expr) -> Hashable:
    """Equal for expressions that certainly have the same edges: compared by value, tables by identity."""
    if isinstance(expr, (Union, Sum)):
        return type(expr), tuple(signature(part) for part in expr.parts)
    return id(expr) if type(expr).__hash__ is object.__hash__ else expr
