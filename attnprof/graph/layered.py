"""A stack of layers as a graph over tokens: what every engine and metric works on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from attnprof.graph.blocked import BlockConstant, blocked_form, union
from attnprof.graph.walks import Head, Walk, walk_of
from attnprof.pattern import Expr, Pattern, Slices, Slots, Sum, Union
from attnprof.pattern.slices import Ints

LEAST_BLOCK = 4


@dataclass(frozen=True, eq=False)
class Slotted:
    """One layer whose tokens meet in `count` slot nodes: slots read tokens, then tokens read slots.

    `reads` is `[count, n]`, `writes` is `[n, count]`; `direct` are the token edges beside them, `[n, n]`.
    """

    n: int
    count: int
    reads: Slices
    writes: Slices
    direct: Slices

    @property
    def relations(self) -> tuple[Slices, ...]:
        """The three, in the order in which a layer applies them."""
        return self.reads, self.writes, self.direct


LayerPattern = Slices | Slotted
LayerRelation = Slices | Slotted | BlockConstant


@dataclass(frozen=True, eq=False)
class LayeredRelation:
    """The layers of a model as relations between `n` tokens, bottom layer first; the kinds repeat upwards.

    The residual stream is a self-loop on every token, whether or not the mask has the diagonal. `declared` is the
    causality that was asked for; `causal` is what the edges themselves say. `parts` are unions over heads, which is
    what reach follows; what the heads weigh is in `walk`, from `pattern` (None: each layer is one head), whose
    expressions `forms` has made into relations.
    """

    n: int
    parts: tuple[LayerRelation, ...]
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
        return cls(slices.n, (slices,), declared)

    def at(self, layer: int) -> LayerPattern:
        """The relation of layer 1, 2, ... counted from the bottom."""
        return self.kinds[(layer - 1) % self.period]

    def part(self, layer: int) -> LayerRelation:
        """The same as it was given: as blocks where it is made of blocks."""
        return self.parts[(layer - 1) % self.period]

    def walk(self, layer: int) -> Walk:
        """Uniform attention of a layer, averaged over its heads."""
        return self._walks[(layer - 1) % self.period]

    @cached_property
    def _walks(self) -> tuple[Walk, ...]:
        if self.pattern is None:
            return tuple(walk_of([_head(part)]) for part in self.parts)
        return tuple(_walk(self.pattern, layer, self.forms or Forms(self.n)) for layer in range(self.period))

    @property
    def period(self) -> int:
        """Number of layer kinds."""
        return len(self.parts)

    @cached_property
    def kinds(self) -> tuple[LayerPattern, ...]:
        """The layer kinds as relations between tokens (and slots), blocks spelled out."""
        return tuple(part.tokens() if isinstance(part, BlockConstant) else part for part in self.parts)

    @cached_property
    def relations(self) -> tuple[tuple[Slices, ...], ...]:
        """The relations that make up each layer kind."""
        return tuple(kind.relations if isinstance(kind, Slotted) else (kind,) for kind in self.kinds)

    @cached_property
    def blocked(self) -> tuple[BlockConstant, ...] | None:
        """The kinds as blocks, where all of them were given so."""
        found = tuple(part for part in self.parts if isinstance(part, BlockConstant))
        return found if len(found) == self.period else None

    @cached_property
    def plain(self) -> tuple[Slices, ...] | None:
        """The kinds as token edges; None where a layer goes through slots."""
        found = [kind for kind in self.kinds if isinstance(kind, Slices)]
        return tuple(found) if len(found) == self.period else None

    @cached_property
    def reads_future(self) -> bool:
        """Whether some query can see a key after it within one layer."""
        return any(_reads_future(part) for part in self.parts)

    @cached_property
    def causal(self) -> bool:
        """Whether only the past is allowed: no edge reads the future, and some reads the past or it was declared."""
        return not self.reads_future and (self.declared or any(_reads_past(part) for part in self.parts))

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
        self._alone: dict[Hashable, LayerRelation] = {}

    def blocks(self, expr: Expr) -> BlockConstant | None:
        """An expression as blocks, where it is made of some."""
        name = signature(expr)
        if name not in self._blocks:
            self._blocks[name] = blocked_form(expr, self.n)
        return self._blocks[name]

    def alone(self, expr: Expr) -> LayerRelation:
        """The relation of one head."""
        name = signature(expr)
        if name not in self._alone:
            self._alone[name] = self.union([expr])
        return self._alone[name]

    def union(self, exprs: Sequence[Expr]) -> LayerRelation:
        """The union of some expressions: as blocks where it is made of blocks, with its slots where it has some."""
        n, slots = self.n, [part for expr in exprs for part in slots_of(expr)]
        if slots:
            direct = [piece.slices(n) for expr in exprs for piece in direct_of(expr)]
            return slotted(n, slots, Slices.empty(n).joined(*direct).disjoint())
        blocks = [self.blocks(expr) for expr in exprs]
        found = [each for each in blocks if each is not None and each.size >= LEAST_BLOCK]
        whole = union(found) if len(found) == len(exprs) else None
        if whole is not None and LEAST_BLOCK <= whole.size < n:
            return whole
        first, *rest = (expr.slices(n) for expr in exprs)
        return first.joined(*rest).disjoint() if rest else first


def layer_of(pattern: Pattern, layer: int, forms: Forms | None = None) -> LayerRelation:
    """The union over heads of one layer: as blocks where it is made of blocks, with its slots where it has some."""
    exprs = distinct([pattern.expr(layer, head) for head in range(pattern.heads)])
    made = forms or Forms(pattern.n)
    return made.alone(exprs[0]) if len(exprs) == 1 else made.union(exprs)


def _walk(pattern: Pattern, layer: int, forms: Forms) -> Walk:
    exprs = [pattern.expr(layer, head) for head in range(pattern.heads)]
    counts = Counter(signature(expr) for expr in exprs)
    return walk_of([_head(forms.alone(expr), counts[signature(expr)]) for expr in distinct(exprs)])


def _head(part: LayerRelation, count: int = 1) -> Head:
    if isinstance(part, Slotted):
        return Head(part.direct, count, part.writes, part.reads)
    return Head(part, count)


def distinct(exprs: list[Expr]) -> list[Expr]:
    """The expressions without those that say the same again (heads often share one pattern)."""
    return list({signature(expr): expr for expr in exprs}.values())


def signature(expr: Expr) -> Hashable:
    """Equal for expressions that certainly have the same edges: compared by value, tables by identity."""
    if isinstance(expr, (Union, Sum)):
        return type(expr), tuple(signature(part) for part in expr.parts)
    return id(expr) if type(expr).__hash__ is object.__hash__ else expr


def slotted(n: int, slots: list[Slots], direct: Slices) -> Slotted:
    """Several sets of slots side by side as one layer, with the token edges beside them."""
    count = sum(part.count for part in slots)
    first = np.cumsum([0] + [part.count for part in slots[:-1]])
    reads, writes = Slices.empty(count, n), Slices.empty(n, count)
    for base, part in zip(first.tolist(), slots, strict=True):
        reads = reads.joined(_moved(part.sources(n), base, 0, count, n))
        writes = writes.joined(_moved(part.writes, 0, base, n, count))
    return Slotted(n, count, reads, writes, direct)


def _moved(slices: Slices, rows: int, keys: int, n: int, m: int) -> Slices:
    return Slices.of(n, slices.row + rows, slices.start + keys, slices.stop + keys, slices.step, m)


def slots_of(expr: Expr) -> list[Slots]:
    """The sets of slots of an expression."""
    if isinstance(expr, Slots):
        return [expr]
    if isinstance(expr, (Union, Sum)):
        return [slots for part in expr.parts for slots in slots_of(part)]
    return []


def direct_of(expr: Expr) -> list[Expr]:
    """What of an expression joins tokens without slots."""
    if isinstance(expr, Slots):
        return [] if expr.direct is None else [expr.direct]
    if isinstance(expr, (Union, Sum)):
        return [piece for part in expr.parts for piece in direct_of(part)]
    return [expr]


def _reads_future(kind: LayerRelation) -> bool:
    if isinstance(kind, BlockConstant):
        last = kind.blocks.stop - 1
        ahead = last >= kind.blocks.row if kind.size > 1 else last > kind.blocks.row
        return not kind.causal and bool(ahead.any())
    if isinstance(kind, Slices):
        return bool((kind.stop - 1 > kind.row).any())
    newest = np.zeros(kind.count + 1, dtype=np.int64)
    np.maximum.at(newest, kind.reads.row, kind.reads.stop - 1)
    through = np.maximum.reduceat(newest, np.stack([kind.writes.start, kind.writes.stop], axis=1).ravel())[::2]
    return bool((through > kind.writes.row).any()) or _reads_future(kind.direct)


def _reads_past(kind: LayerRelation) -> bool:
    if isinstance(kind, BlockConstant):
        return kind.size > 1 or _reads_past(kind.blocks)
    slices = kind if isinstance(kind, Slices) else kind.direct
    return bool((slices.start < slices.row).any()) or isinstance(kind, Slotted)
