"""What the metrics are computed of: a pattern, its stack, and the reach that one engine found."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

from attnprof.graph.ladder import solve
from attnprof.graph.layered import LayeredRelation, signature
from attnprof.graph.reach import Reach, ReachRequest
from attnprof.graph.relation import Relation
from attnprof.graph.token_edges import TokenEdges
from attnprof.pattern import Kernel, Pattern, Slices
from attnprof.pattern.slices import Ints
from attnprof.records import JsonObject
from attnprof.words import Certainty, EngineName

MOST_RUNS = 5  # of layers of a kind that are named one by one
ClosedEdges = Callable[[int, int], int | None]


@dataclass(frozen=True, eq=False)
class LayerKind:
    """Layers whose heads read the same, counted from 1; of random draws of one kind, all of them.

    `heads` lists each distinct (layer, head) with the number of heads, over all these layers, that share its edges.
    """

    layers: tuple[int, ...]
    heads: tuple[tuple[int, int, int], ...]
    drawn: bool = False

    @property
    def name(self) -> str:
        """`layer 6`, `layers 1-5`, `layers 1, 3`: see `layers_named`."""
        return layers_named(self.layers)


def layers_named(layers: Sequence[int]) -> str:
    """`layer 6`, `layers 1-5`, `layers 1, 3`, `layers 1-5, 7-11, 13-17, ..., 61-62`."""
    if len(layers) == 1:
        return f"layer {layers[0]}"
    ends = [at for at in range(1, len(layers)) if layers[at] != layers[at - 1] + 1]
    runs = [layers[a:b] for a, b in itertools.pairwise([0, *ends, len(layers)])]
    texts = [str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs]
    return f"layers {', '.join(texts if len(texts) <= MOST_RUNS else [*texts[:3], '...', texts[-1]])}"


@dataclass(frozen=True, eq=False)
class Subject:
    """One pattern at one length, with what is asked of it. `edges_text` and `closed` are its closed count, the latter
    of a layer and head.

    `redrawn`: its layers are random draws, of as many kinds in turn; 0 where nothing is drawn.
    """

    pattern: Pattern
    ask: ReachRequest = field(default_factory=ReachRequest)
    engine: EngineName = EngineName.AUTO
    edges_text: str = ""
    closed: ClosedEdges | None = None
    depth: int = 12
    redrawn: int = 0

    @property
    def n(self) -> int:
        """Tokens."""
        return self.pattern.n

    @cached_property
    def stack(self) -> LayeredRelation:
        """The layers, heads united."""
        return LayeredRelation.of(self.pattern)

    @cached_property
    def reach(self) -> Reach:
        """Who reaches whom."""
        return solve(self.stack, self.ask, self.engine)

    @cached_property
    def kernels(self) -> tuple[tuple[Kernel, int], ...]:
        """The kernels of the scheme, each with the number of heads, over all layers, that have it."""
        found = ((self.pattern.expr(layer, head), count) for layer, head, count in self.each_head())
        return tuple((expr, count) for expr, count in found if isinstance(expr, Kernel))

    @property
    def kernel(self) -> Kernel | None:
        """A kernel, where some layer of the scheme is one."""
        return self.kernels[0][0] if self.kernels else None

    @property
    def slotted(self) -> bool:
        """Whether a layer goes through slots."""
        return self.stack.slotted

    def part(self, layer: int = 0, head: int = 0) -> Relation:
        """One layer and head, with its slots where it has some; heads that share a pattern share the object."""
        forms = self.stack.forms
        assert forms is not None
        return forms.alone(self.pattern.expr(layer, head))

    def relation(self, layer: int = 0, head: int = 0) -> Relation:
        """The same, without the edges that a kernel has in place of weights."""
        kernel = isinstance(self.pattern.expr(layer, head), Kernel)
        return self._nothing if kernel else self.part(layer, head)

    @cached_property
    def _nothing(self) -> Relation:
        return TokenEdges(Slices.empty(self.n))

    def heads(self, layer: int) -> list[Relation]:
        """The edges of every head of a layer; heads that share a pattern share the object."""
        return [self.relation(layer, head) for head in range(self.pattern.heads)]

    @cached_property
    def layer_kinds(self) -> tuple[LayerKind, ...]:
        """The layers by kind, in the order of their first: alike in all heads, or draws of one kind."""
        groups: dict[Hashable, list[int]] = {}
        for layer in range(self.pattern.layers):
            groups.setdefault(layer % self.redrawn if self.redrawn else self._named(layer), []).append(layer)
        return tuple(self._kind(layers) for layers in groups.values())

    def _named(self, layer: int) -> tuple[Hashable, ...]:
        return tuple(signature(self.pattern.expr(layer, head)) for head in range(self.pattern.heads))

    def _kind(self, layers: list[int]) -> LayerKind:
        first: dict[Hashable, tuple[int, int]] = {}
        shared: Counter[Hashable] = Counter()
        for layer in layers:
            for head, name in enumerate(self._named(layer)):
                first.setdefault(name, (layer, head))
                shared[name] += 1
        heads = tuple((*at, shared[name]) for name, at in first.items())
        return LayerKind(tuple(layer + 1 for layer in layers), heads, self.redrawn > 0 and len(layers) > 1)

    def each_head(self) -> Iterator[tuple[int, int, int]]:
        """Every distinct (layer, head), with the number of heads, over all layers, that it stands for."""
        return (at for kind in self.layer_kinds for at in kind.heads)

    def has_edges(self) -> bool:
        """Whether tokens read tokens in some layer, and not through slots or a kernel alone."""
        if self.kernel is None and not self.slotted:
            return True
        return any(self.relation(layer, head).edges for layer, head, _ in self.each_head())


class Facts(NamedTuple):
    """What a metric found: values by their JSON keys, how sure each is (exact unless said), why one is missing."""

    values: JsonObject
    certainty: Mapping[str, Certainty] = {}
    reasons: Mapping[str, str] = {}
    flags: tuple[str, ...] = ()


def spread(values: Ints) -> dict[str, float]:
    """The least, mean and greatest of some counts."""
    return {"min": int(values.min()), "mean": float(values.mean()), "max": int(values.max())}
