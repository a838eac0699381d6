"""A catalogue entry, or a user's pattern file, as a target."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Self

from attnprof import impl as implementations
from attnprof.contracts import Checked, Scheme, Spec
from attnprof.errors import Unsupported, unknown
from attnprof.pattern import Card, Expr, Pattern
from attnprof.pattern.param import Param, accepted, at_length
from attnprof.shapes import Shape
from attnprof.targets.catalog import Entry, able, cannot
from attnprof.targets.stated import Stated, context_of, crossing
from attnprof.units import Value
from attnprof.words import DeviceName, FfnKind, Impl, Level, Maths

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from attnprof.pattern import Slices


# What the blocks of every scheme may be asked for, by `--set` like a parameter of its own; of use at level block.
OF_BLOCKS: Mapping[str, Param] = {"ffn": Param("plain", words=("plain", "switch"))}


# Where a user's pattern is looked at for edges to the future: a power of two, and a length that nothing divides.


@dataclass(frozen=True, eq=False)
class CatalogTarget(Stated):
    """A scheme of the catalogue with its parameters and how it is computed chosen; all that a command needs of it.

    `reads_ahead`: that edges to the future were seen in a pattern that takes no `causal` to leave them out.
    `sure`: the edges that it certainly has, where some of its edges are not known.
    """

    entry: Entry
    parameters: Mapping[str, Value] = field(default_factory=dict)
    impl: Impl | None = None
    reads_ahead: bool = False
    sure: Slices | None = None

    @classmethod
    def of(cls, entry: Entry, params: Mapping[str, Value], impl: str | None) -> Self:
        """The entry with some parameters set, computed as asked, or else as it usually is.

        Raises `AttnprofError` for a parameter that it does not have, `Unsupported` for what cannot compute it.
        """
        for name, value in params.items():
            param = entry.params.get(name) or OF_BLOCKS.get(name)
            if param is None:
                raise unknown(f"parameter of {entry.name}", name, entry.params)
            param.check(entry.name, name, value)
        target = cls(entry, {**entry.defaults, **params})
        able_ones = able(entry.home, entry.card)
        if impl is None:
            return replace(target, impl=next(able_ones, None))
        if why := cannot(entry.home, entry.card, impl):
            others = ", ".join(able_ones)
            raise Unsupported(f"{impl} cannot compute {entry.name}: {why}", hint=f"--impl {others or 'is for others'}")
        return replace(target, impl=Impl(impl))

    @property
    def name(self) -> str:
        """The stem of its file."""
        return self.entry.name

    def renamed(self, name: str) -> Self:
        """The same target, called otherwise in records and pages."""
        return replace(self, entry=replace(self.entry, name=name))

    @property
    def card(self) -> Card:
        """Its card."""
        return self.entry.card

    @property
    def layers(self) -> int:
        """Layers of the smallest stack that the scheme repeats: two where kinds alternate."""
        count = self.entry.layers
        return 1 if count is None else count(**accepted(count, **self.parameters))

    @property
    def files(self) -> tuple[str, ...]:
        """The file that it comes from."""
        return (str(self.entry.path),)

    @property
    def context(self) -> frozenset[str]:
        """What its pattern asks for: its parameters, and `layer`, `head`, `seed` and the like if it depends on them."""
        return frozenset(inspect.signature(self.entry.draw).parameters) if self.entry.draw else frozenset()

    @property
    def closed_context(self) -> frozenset[str]:
        """The same of its closed count of edges."""
        return frozenset(inspect.signature(self.entry.edges).parameters) if self.entry.edges else frozenset()

    def implementations(self) -> tuple[Impl, ...]:
        """What can compute it on this machine, the default first."""
        return tuple(able(self.entry.home, self.card))

    def cannot(self, shape: Shape, device: DeviceName) -> str | None:
        """Why its implementation cannot compute this shape on this device; None where it can."""
        return None if self.impl is None else implementations.reason(self.impl, self.entry.facts, shape, device)

    def resolve(self, n: int) -> dict[str, Value]:
        """Its parameters at length n: those that the paper makes functions of n as integers, the others as they are."""
        values, rule = at_length(self.entry.params, self.parameters, n), self.entry.resolve
        return values if rule is None else {**values, **rule(n, **accepted(rule, **values))}

    def build(self, shape: Shape) -> nn.Module:
        """The core, the attention layer, or the block, of all layers that the scheme repeats."""
        self.check(shape)
        if shape.level is Level.BLOCK:
            return self._blocks(shape).to(torch_dtype(shape))
        layers = [self._layer(shape, layer) for layer in range(self.layers)]
        from attnprof.layers.stacked import stacked

        scheme = self.scheme
        stack = (scheme and scheme.stacked) or stacked
        return stack(layers, shape.level).to(torch_dtype(shape))

    def inputs(self, shape: Shape) -> tuple[Tensor, ...]:
        """Random inputs: at level `core` its streams, else `x [b, n, D]`, with `context [b, m, D]` where m is set."""
        import torch

        from attnprof.layers.attention import random_streams

        scheme = self.scheme
        if shape.level is Level.CORE:
            return scheme.streams(self.spec(shape)) if scheme and scheme.streams else random_streams(shape)
        if scheme and scheme.inputs:
            return scheme.inputs(self.spec(shape))
        x = torch.randn(shape.batch, shape.n, shape.dim, dtype=torch_dtype(shape))
        if shape.m is None:
            return (x,)
        return x, torch.randn(shape.batch, shape.m, shape.dim, dtype=torch_dtype(shape))

    def reference(self, shape: Shape) -> nn.Module:
        """`build(shape)` with every core's maths replaced by its oracle: same parameters, same state dict."""
        module = self.build(shape)
        for part in module.modules():
            if isinstance(part, Checked):
                part.forward = part.reference
        return module

    def pattern(self, shape: Shape) -> Pattern | None:
        """Who attends to whom at this length, or None where the scheme has no edges between tokens."""
        pattern = self.graph(shape)
        return pattern if pattern.has_edges else None

    def graph(self, shape: Shape, later: int = 0) -> Pattern:
        """The pattern as the graph commands see it, slots and kernels included.

        With `later`, that of as many tokens more, at the parameters of n: its last row is what decoding reads.
        """
        draw, params, n = self.entry.draw, self.resolve(shape.n), shape.n + later
        assert draw is not None

        def bound(layer: int, head: int) -> Expr:
            return draw(n, **accepted(draw, **context_of(shape, layer, head), **params))

        heads = shape.heads if "head" in accepted(draw, head=0) else 1
        return Pattern(
            self.name, n, shape.causal, bound, self.layers, heads, longer=lambda more: self.graph(shape, later + more)
        )

    def flops_core(self, shape: Shape) -> int | None:
        """The closed form that the code states for what its core executes, forward, all layers; None without."""
        if self.impl is None:
            return None
        if self.encodes(shape):
            source = self.flops_core(shape.replace(n=shape.keys, m=None, causal=False))
            within = self.flops_core(shape.replace(m=None))
            return None if source is None or within is None else source + within + crossing(shape, self.layers)
        how = implementations.implementation(self.impl)
        found = [how.executed(self.spec(shape, layer)) for layer in range(self.layers)]
        known = [flops for flops in found if flops is not None]
        return shape.repeats * sum(known) if len(known) == len(found) else None

    def flops_selection(self, shape: Shape) -> int:
        """The closed form of what it spends on choosing at the level of the shape, forward, all layers: 0 of most."""
        way = self.scheme.written.get(self.impl) if self.scheme and self.impl else None
        if way is None or way.flops_selection is None:
            return 0
        return shape.repeats * sum(way.flops_selection(self.spec(shape, layer)) for layer in range(self.layers))

    def flops_step(self, shape: Shape) -> int | None:
        """The closed form of one token more in the core of a recurrence, all layers; None of what is none."""
        way = self.scheme.written.get(Impl("eager")) if self.scheme else None
        if way is None or way.flops_step is None or self.encodes(shape):
            return None
        return shape.repeats * sum(way.flops_step(self.spec(shape, layer)) for layer in range(self.layers))

    def encodes(self, shape: Shape) -> bool:
        """Whether this is an encoder over m tokens and a decoder over n, attention within each by the scheme."""
        asked = shape.level is Level.BLOCK and shape.m is not None and self.entry.has_maths
        return asked and not self.reads_context

    def spec(self, shape: Shape, layer: int = 0) -> Spec:
        """What a core is built from."""
        return Spec(shape, self.resolve(shape.n), self.pattern(shape), self.impl, layer, self.scheme)

    @property
    def scheme(self) -> Scheme | None:
        """What the file of its maths defines; None where its pattern is all there is, or the maths is not written."""
        if self.card.maths is Maths.PATTERN or not self.entry.has_maths:
            return None
        from attnprof import schemes

        return schemes.scheme(self.entry.facts.maths)

    @property
    def reads_context(self) -> bool:
        """Whether its layers take a second sequence themselves."""
        scheme = self.scheme
        return scheme is not None and scheme.inputs is not None

    def _blocks(self, shape: Shape) -> nn.Module:
        """A stack of blocks: `depth` times all layer kinds; with a context of m tokens, an encoder for it too."""
        from attnprof.layers.block import blocks

        inner, encoder = shape, None
        if self.encodes(shape):
            inner = shape.replace(m=None)
            encoder = self._blocks(shape.replace(n=shape.keys, m=None, causal=False))
        layers, after = self._repeated(inner)
        ffn = self.feed_forward(inner)
        chosen = accepted(blocks, **self.resolve(shape.n))
        return blocks(inner, layers, ffn, encoder=encoder, reads_context=self.reads_context, after=after, **chosen)

    def feed_forward(self, shape: Shape) -> Callable[[], nn.Module] | None:
        """What makes the FFN of a block: the experts of `switch` where they are asked for; None for the plain one."""
        asked = self.parameters.get("ffn", "switch" if self.name == "switch" else "plain")
        if asked == FfnKind.PLAIN:
            return None
        from attnprof.targets.catalog import entry

        owner = self if self.name == "switch" else type(self).of(entry("switch"), {}, None)
        make = owner.scheme and owner.scheme.feed_forward
        return (lambda: make(owner.spec(shape))) if make else None

    def _repeated(self, shape: Shape) -> tuple[list[nn.Module], list[nn.Module]]:
        """The attention layers of a stack of blocks, each to stand in one, and what the scheme puts after them."""
        layers, after = [], []
        for first in range(0, shape.depth * self.layers, self.layers):
            parts = self.attention_layers(shape, first)
            layers += parts[: self.layers]
            after += parts[self.layers :]
        if after and shape.depth > 1:
            raise Unsupported(f"{self.name} merges tokens after its layers: they cannot be repeated", hint="--depth 1")
        return layers, after

    def attention_layers(self, shape: Shape, first: int = 0) -> list[nn.Module]:
        """The layers of its smallest stack, numbered from `first`, and what the scheme puts after them."""
        from torch import nn

        stack = self.scheme and self.scheme.stacked
        group = [self._layer(shape, layer) for layer in range(first, first + self.layers)]
        whole = stack(group, Level.ATTENTION) if stack else nn.Sequential(*group)
        return list(whole) if isinstance(whole, nn.Sequential) else [whole]

    def _layer(self, shape: Shape, layer: int) -> nn.Module:
        from attnprof.layers.attention import QKV, Attention

        scheme, spec = self.scheme, self.spec(shape, layer)
        if scheme and scheme.layer and shape.level is not Level.CORE:
            return scheme.layer(spec)
        assert self.impl is not None, "it was checked that something computes it"
        core = implementations.implementation(self.impl).build(spec)
        if shape.level is Level.CORE:
            return core
        project = scheme.projections(spec) if scheme and scheme.projections else QKV(shape)
        return Attention(shape, project, core)

    def check(self, shape: Shape) -> None:
        """Raise `Unsupported` for a shape that the scheme is not defined for, or that is not written."""
        if not self.entry.has_maths:
            hint = self.card.instead or f"attnprof graph {self.name}; `attnprof list` says which schemes have a cost"
            raise Unsupported(f"{self.name} is described as a graph only: its maths is not written", hint=hint)
        if shape.causal and self.reads_ahead:
            raise Unsupported(
                f"{self.name} reads the future, and takes no `causal` that would keep it from that",
                hint="leave --causal out; `attnprof graph` with --causal names the edges",
            )
        if shape.causal not in self.card.causality:
            kind = "causal" if shape.causal else "bidirectional"
            raise Unsupported(f"{self.name} has no {kind} form", hint=f"`attnprof show {self.name}` says why")
        self._check_heads(shape)
        self._check_keys(shape)
        if why := self.cannot(shape, DeviceName.NONE):
            raise Unsupported(f"{self.impl} cannot compute {self.name}: {why}", hint="another --impl")

    def _check_heads(self, shape: Shape) -> None:
        if shape.d_v != shape.d and not (self.card.v_head_dim or self.card.maths is Maths.PATTERN):
            raise Unsupported(
                f"{self.name} is written for values as wide as keys, {shape.d}, not {shape.d_v}",
                hint="leave --v-head-dim out; dense and every pattern take values of their own width",
            )
        if shape.groups != shape.heads and not self.card.kv_heads:
            raise Unsupported(
                f"{self.name} is not defined for fewer KV heads than query heads",
                hint=f"as many of both: --kv-heads {shape.heads}",
            )

    def _check_keys(self, shape: Shape) -> None:
        if self.encodes(shape):
            if False not in self.card.causality:
                raise Unsupported(
                    f"{self.name} has no bidirectional form to encode a source with", hint="leave out --keys"
                )
        elif shape.keys != shape.n and not self.card.cross:
            raise Unsupported(
                f"{self.name} attends within one sequence: keys and queries are as many",
                hint="leave out --keys; dense and cross take a second length",
            )
        elif shape.causal and shape.keys < shape.n:
            raise Unsupported(
                f"{shape.n} causal queries over {shape.keys} keys: the first {shape.n - shape.keys} would read nothing",
                hint=f"--keys {shape.n} or more, the last of which are the queries' own",
            )


def torch_dtype(shape: Shape) -> torch.dtype:
    """The torch dtype that a shape names."""
    import torch

    found: torch.dtype = getattr(torch, shape.dtype)
    return found
