"""What is known of a stack from what its layers state: patterns, closed counts, the papers' formulas, its sources."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING

from attnprof.contracts import SchemeTarget, Target
from attnprof.errors import AttnprofError
from attnprof.graph.draws import is_random
from attnprof.layered_target import StackGroup
from attnprof.pattern import Pattern
from attnprof.shapes import Shape
from attnprof.targets import stack_parts
from attnprof.targets.sources import files_behind
from attnprof.targets.stack_layers import StackLayer
from attnprof.targets.stack_pattern import stack_pattern
from attnprof.usercode import UserCode
from attnprof.words import DeviceName, Impl, Level

if TYPE_CHECKING:
    from attnprof.pattern import Slices


class StackStated:
    """The stated half of a stack, of its layers, bottom first."""

    stack_layers: tuple[StackLayer, ...]
    file: str | None

    @property
    def name(self) -> str:
        """Its canonical spelling."""
        raise NotImplementedError

    @cached_property
    def mixers(self) -> tuple[Target, ...]:
        """The distinct mixers, bottom first. Raises `AttnprofError` for a stack of FFNs alone."""
        found = tuple(dict.fromkeys(layer.mixer for layer in self.stack_layers if layer.mixer is not None))
        if not found:
            raise AttnprofError(f"no layer of `{self.name}` mixes tokens", hint="5 sliding_window + 1 dense")
        return found

    def groups(self, shape: Shape) -> tuple[StackGroup, ...]:
        """Its layers by kind, in the order of their first."""
        return tuple(
            StackGroup(
                layer.label,
                tuple(at + 1 for at, other in enumerate(self.stack_layers) if other is layer),
                layer.mixer,
                self.shape_of(layer, shape),
                stack_parts.facts_of_ffn(layer, shape),
                layer.shares_kv,
                layer.shares_weights,
            )
            for layer in dict.fromkeys(self.stack_layers)
        )

    def shape_of(self, layer: StackLayer, shape: Shape) -> Shape:
        level = Level.CORE if shape.level is Level.CORE else Level.ATTENTION
        try:
            return layer.shape(shape, level)
        except AttnprofError as error:
            raise AttnprofError(f"in the layer `{layer.label}`: {error.message}", hint=error.hint) from error

    def graph(self, shape: Shape, later: int = 0) -> Pattern:
        """The patterns of all layers that mix tokens, bottom first. Raises `AttnprofError` where one states none."""
        return stack_pattern(self.name, self._placed(shape), shape, later)

    def pattern(self, shape: Shape) -> Pattern | None:
        """The same; None where some layer has no edges between tokens."""
        pattern = self.graph(shape)
        return pattern if pattern.has_edges else None

    def _placed(self, shape: Shape) -> list[tuple[SchemeTarget, Shape, int]]:
        """Every layer of the graph: the scheme, its shape, and which of its own layers it is."""
        found = []
        for layer in self.stack_layers:
            if layer.mixer is None:
                continue
            if not isinstance(layer.mixer, SchemeTarget):
                raise AttnprofError(
                    f"the layer `{layer.label}` is code, which states no pattern",
                    hint=f"attnprof graph {layer.written.name} shows what it does; a pattern file states one",
                )
            found += [(layer.mixer, self.shape_of(layer, shape), own) for own in range(layer.mixer.layers)]
        return found

    def _at(self, shape: Shape, layer: int) -> tuple[SchemeTarget, Shape, int]:
        """One layer of the graph; they repeat upwards."""
        placed = self._placed(shape)
        return placed[layer % len(placed)]

    def edges(self, shape: Shape, layer: int = 0, head: int = 0, later: int = 0) -> int | None:
        """The closed count of one layer and head."""
        mixer, own, kind = self._at(shape, layer)
        return mixer.edges(own, kind, head, later)

    def pairs(self, shape: Shape, layer: int = 0, head: int = 0, later: int = 0) -> int | None:
        """The closed count of query-key pairs of one layer and head."""
        mixer, own, kind = self._at(shape, layer)
        return mixer.pairs(own, kind, head, later)

    def pairs_step(self, shape: Shape, layer: int = 0, head: int = 0) -> int | None:
        """Keys that the token after n reads in one layer and head, where decoding reads others than the last row."""
        mixer, own, kind = self._at(shape, layer)
        return mixer.pairs_step(own, kind, head)

    def score_products(self, shape: Shape, layer: int = 0, head: int = 0, later: int = 0) -> int | Fraction:
        """Products of the width of a key that the scores of one layer take beside q k."""
        mixer, own, kind = self._at(shape, layer)
        return mixer.score_products(own, kind, head, later)

    def flops_step(self, shape: Shape) -> int | None:
        """FLOPs of one token more in the cores of its recurrences; None where no layer is one."""
        found = [
            group.count * step
            for group in self.groups(shape)
            if isinstance(group.mixer, SchemeTarget) and (step := group.mixer.flops_step(group.shape)) is not None
        ]
        return sum(found) if found else None

    def flops_paper(self, shape: Shape) -> int | None:
        """The papers' formulas of all layers, forward."""
        return self._added(shape, lambda mixer, own: mixer.flops_paper(own))

    def flops_paper_step(self, shape: Shape) -> int | None:
        """The papers' formulas for one token more."""
        return self._added(shape, lambda mixer, own: mixer.flops_paper_step(own))

    def state_numbers(self, shape: Shape, n: int) -> int | None:
        """Numbers that decoding keeps of one sequence, in all layers that keep any."""
        return self._added(shape, lambda mixer, own: mixer.state_numbers(own, n), borrowed=False)

    def _added(
        self, shape: Shape, figure: Callable[[SchemeTarget, Shape], int | None], borrowed: bool = True
    ) -> int | None:
        total = 0
        for group in self.groups(shape):
            if group.mixer is None or (group.shares_kv and not borrowed):
                continue
            one = figure(group.mixer, group.shape) if isinstance(group.mixer, SchemeTarget) else None
            if one is None:
                return None
            total += group.count * one
        return total

    @property
    def files(self) -> tuple[str, ...]:
        """All that it is made of: its own file, and those of its layers, their maths and what computes them."""
        found: list[str] = [self.file] if self.file else []
        for mixer in self.mixers:
            own = mixer.files if isinstance(mixer, (SchemeTarget, UserCode)) else ()
            found += map(str, files_behind(own, mixer))
        return tuple(dict.fromkeys(found))

    @property
    def context(self) -> frozenset[str]:
        """What the patterns of its layers depend on; the layer, since layers differ."""
        schemes = [mixer for mixer in self.mixers if isinstance(mixer, SchemeTarget)]
        names = frozenset().union(*(mixer.context for mixer in schemes)) | {"layer"}
        return names if any(is_random(mixer) for mixer in schemes) else names - {"seed"}

    @property
    def closed_context(self) -> frozenset[str]:
        """What the closed counts depend on."""
        return frozenset({"layer", "head"})

    @property
    def sure(self) -> Slices | None:
        """None: all edges of its layers are known."""
        return None

    def implementations(self) -> tuple[Impl, ...]:
        """What can compute all of its schemes, the default of the first one first."""
        found = [mixer.implementations() for mixer in self.mixers if isinstance(mixer, SchemeTarget)]
        return tuple(impl for impl in found[0] if all(impl in each for each in found)) if found else ()

    def cannot(self, shape: Shape, device: DeviceName) -> str | None:
        """Why the implementation of some layer cannot compute this shape on this device."""
        for group in self.groups(shape):
            why = group.mixer.cannot(group.shape, device) if isinstance(group.mixer, SchemeTarget) else None
            if why:
                return f"{group.label}: {why}"
        return None

    def encodes(self, shape: Shape) -> bool:
        """Never: it has one sequence."""
        return False
