"""A stack of layers as a target: schemes, pattern files and modules in order, repeated and cut."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from attnprof.contracts import Checked, Target
from attnprof.errors import AttnprofError, Unsupported
from attnprof.layered_target import LayeredTarget, StackPart
from attnprof.pattern import Card
from attnprof.shapes import Shape
from attnprof.targets import stack_parts
from attnprof.targets.scheme import CatalogTarget, torch_dtype
from attnprof.targets.stack_build import blocks_of, built_mixers
from attnprof.targets.stack_layers import SIZES, Find, StackLayer, layers_of, lender_of, owner_of
from attnprof.targets.stack_stated import StackStated
from attnprof.targets.stack_text import StackText, format_stack, parse_stack
from attnprof.targets.stack_toml import read_stack
from attnprof.units import Value
from attnprof.words import Impl, Level, Maths, PartRole

if TYPE_CHECKING:
    from torch import Tensor, nn


TOML = ".toml"


def stack(text_or_path: str | Path, find: Find | None = None, impl: str | None = None) -> StackTarget:
    """The stack of a text in the grammar of `stack_text`, or of a TOML file, under its canonical spelling.

    `find` finds the mixer of a layer by its name, parameters and implementation; that of the door unless given.
    """
    if find is None:
        from attnprof.targets.door import find_mixer

        return stack(text_or_path, find_mixer, impl)
    text = str(text_or_path)
    written = read_stack(Path(text)) if text.endswith(TOML) else parse_stack(text)
    found = layers_of(written, lambda name, params, own: find(name, params, own or impl))
    return StackTarget(written, found, text if text.endswith(TOML) else None)


@dataclass(frozen=True, eq=False)
class StackTarget(StackStated, LayeredTarget):
    """Layers in order, bottom first; `file` is where they are written, if not in a line.

    At level `attention` the mixers alone, one after the other; at `block` each in a pre-norm block with its FFN, behind
    sinusoids, and before norm and logits where the stack states `vocab`; at `core` nothing is built, costs are added.
    """

    written: StackText
    stack_layers: tuple[StackLayer, ...]
    file: str | None = None
    called: str = ""

    @property
    def name(self) -> str:
        """Its canonical spelling."""
        return self.called or format_stack(self.written)

    def renamed(self, name: str) -> StackTarget:
        """The same target, called otherwise in records and pages."""
        return replace(self, called=name)

    @property
    def card(self) -> Card:
        """What all its layers have in common."""
        return self._card

    @cached_property
    def _card(self) -> Card:
        cards = [mixer.card for mixer in self.mixers]
        first = cards[0].causality
        said = self.written.settings.get("causal")
        if said is not None and not isinstance(said, bool):
            raise AttnprofError(f"causal is {said!r}, but it is true or false", hint="causal=true after ;")
        own = first if said is None else (said,)
        causality = tuple(c for c in own if all(c in card.causality for card in cards))
        if not causality:
            forms = ", ".join(f"{m.name} {'causal' if m.card.native_causal else 'bidirectional'}" for m in self.mixers)
            raise AttnprofError(f"no causality that all layers have: {forms}", hint="layers of one kind of attention")
        return Card(
            title=f"stack of {len(self.stack_layers)} layers",
            bib="",
            survey_class="stack",
            causality=causality,
            rule="that of each layer",
            maths=Maths.OWN,
            growth=None,
            undecoded="; ".join(dict.fromkeys(card.undecoded for card in cards if card.undecoded)),
            data_dependent=any(card.data_dependent for card in cards),
            leaks=tuple(dict.fromkeys(leak for card in cards for leak in card.leaks)),
            kv_heads=all(card.kv_heads for card in cards),
            v_head_dim=True,
        )

    @property
    def parameters(self) -> Mapping[str, Value]:
        """Those of its mixers, by `scheme.parameter`; of a scheme that it has in several forms, the second as `#2`."""
        return {
            f"{name}.{key}": value for name, mixer in self._named.items() for key, value in mixer.parameters.items()
        }

    def resolve(self, n: int) -> dict[str, Value]:
        """The same at length n."""
        return {
            f"{name}.{key}": value for name, mixer in self._named.items() for key, value in mixer.resolve(n).items()
        }

    @cached_property
    def _named(self) -> dict[str, Target]:
        found: dict[str, Target] = {}
        for mixer in self.mixers:
            if all(mixer.parameters != other.parameters or mixer.name != other.name for other in found.values()):
                same = sum(other.name == mixer.name for other in found.values())
                found[f"{mixer.name}#{same + 1}" if same else mixer.name] = mixer
        return found

    @property
    def layers(self) -> int:
        """How many layers it has, those without a mixer among them."""
        return sum(1 if layer.mixer is None else layer.mixer.layers for layer in self.stack_layers)

    @property
    def impl(self) -> Impl | str | None:
        """What computes all of its schemes, where that is one thing."""
        found = {mixer.impl for mixer in self.mixers}
        return found.pop() if len(found) == 1 else None

    # What stands there, and what it is the sum of.

    def parts(self, shape: Shape) -> tuple[StackPart, ...]:
        """All that its cost is the sum of: mixers, the rest of their blocks, the ends, each kind once."""
        self.check(shape)
        found: list[StackPart] = []
        times = {layer: self.stack_layers.count(layer) for layer in dict.fromkeys(self.stack_layers)}
        at_block = shape.level is Level.BLOCK
        whole = shape.replace(depth=1)
        if at_block:
            found.append(StackPart(stack_parts.ends(True, None), whole, 1, PartRole.ENDS, label="positions"))
        for group, (layer, count) in enumerate(times.items()):
            if layer.mixer is not None:
                own = self.shape_of(layer, shape)
                lent = stack_parts.borrowing(layer) if layer.shares_kv else None
                target, states = (lent, layer.mixer) if lent else (layer.mixer, None)
                shared = layer.shares_weights
                found.append(StackPart(target, own, count, PartRole.MIXER, group, layer.label, states, shared))
            if at_block:
                rest = stack_parts.rest_of_block(layer)
                blocks = 1 if layer.mixer is None else blocks_of(layer.mixer, self.shape_of(layer, shape))
                times_run, shared = count * blocks, layer.shares_weights
                found.append(StackPart(rest, whole, times_run, PartRole.REST, group, layer.label, None, shared))
        vocab = self.written.settings.get("vocab")
        if at_block and isinstance(vocab, int):
            found.append(StackPart(stack_parts.ends(False, vocab), whole, 1, PartRole.ENDS, label="head"))
        return tuple(found)

    def owners(self) -> Mapping[int, int]:
        """The layers (from 1) that share keys and values, each with the layer that keeps them."""
        layers = self.stack_layers
        return {at + 1: owner_of(layers, at) + 1 for at, layer in enumerate(layers) if layer.shares_kv}

    def fitted(self, shape: Shape, explicit: Collection[str]) -> Shape:
        """The shape with the sizes that the stack states for all layers, or that all layers have alike.

        Raises `AttnprofError` where another one is asked for in so many words.
        """
        said: dict[str, int] = {}
        for size in SIZES:
            own = {layer.sizes.get(size) for layer in self.stack_layers if layer.mixer is not None}
            value = own.pop() if len(own) == 1 else None
            if value is not None:
                said[size] = value
        for size, value in said.items():
            if size in explicit and shape != shape.replace(**{size: value}):
                raise AttnprofError(
                    f"the layers of the stack have {size} = {value}, and another one is asked for",
                    hint=f"leave --{size.replace('_', '-')} out, or say it in the stack's text alone",
                )
        return shape.replace(**said)

    def differing(self, shape: Shape) -> tuple[str, ...]:
        """Labels of a shape that layers all have of their own, and not alike."""
        mixing = [layer for layer in self.stack_layers if layer.mixer is not None]
        return tuple(
            size
            for size in SIZES[1:]
            if all(size in layer.sizes for layer in mixing) and len({layer.sizes[size] for layer in mixing}) > 1
        )

    def check(self, shape: Shape) -> None:
        """Raise `AttnprofError` for a shape that no stack has, `Unsupported` for one that a layer has no form for."""
        if shape.depth > 1:
            raise Unsupported("a stack says itself how many layers it has", hint="layers=24 in its text, no --depth")
        if shape.causal not in self.card.causality:
            form = "causal" if shape.causal else "bidirectional"
            raise Unsupported(
                f"the stack has no {form} form", hint=f"leave --{'' if shape.causal else 'no-'}causal out"
            )
        if shape.m is not None:
            raise Unsupported("the layers of a stack attend within one sequence", hint="leave --keys out")
        for layer in dict.fromkeys(self.stack_layers):
            if layer.sizes.get("dim", shape.dim) != shape.dim:
                raise AttnprofError(
                    f"the layer `{layer.label}` is {layer.sizes['dim']} wide in a stack of width {shape.dim}",
                    hint="dim=... after ; is that of all layers, which add to one stream",
                )
            if isinstance(layer.mixer, CatalogTarget) and layer.mixer.reads_context:
                raise Unsupported(
                    f"the layer `{layer.label}` reads a second sequence, and a stack has one", hint="leave it out"
                )
            if layer.mixer is not None and shape.level is Level.BLOCK and layer.mixer.parameters.get("reversible"):
                raise Unsupported(
                    f"the layer `{layer.label}` is reversible, and blocks of a stack are not",
                    hint="reversible=false in the stack's text",
                )

    # As one module.

    def build(self, shape: Shape) -> nn.Module:
        """The whole stack as one module, `x [b, n, D]` to `[b, n, D]`, or to logits where it has a head."""
        from attnprof.layers.block import Positions, tie
        from attnprof.layers.stack_modules import LayerSequence, StackBlock, head_of

        self.check(shape)
        if shape.level is Level.CORE:
            raise Unsupported("the cores of a stack are no module: only their costs add up", hint="--level attention")
        shapes = {layer: self.shape_of(layer, shape) for layer in self.stack_layers if layer.mixer is not None}
        mixers = built_mixers(self.stack_layers, shapes, self.owners())
        tie([part for each in mixers for part in each])
        if shape.level is Level.ATTENTION:
            return LayerSequence(shape.n, [part for each in mixers for part in each]).to(torch_dtype(shape))
        blocks: list[list[nn.Module]] = []
        for at, (layer, inner) in enumerate(zip(self.stack_layers, mixers, strict=True)):
            parts: list[nn.Module | None] = [*inner] or [None]
            if layer.shares_weights:
                blocks.append(blocks[lender_of(self.stack_layers, at)])
                continue
            blocks.append([StackBlock(shape.dim, part, stack_parts.feed_forward(layer, shape)) for part in parts])
        made = [block for each in blocks for block in each]
        vocab = self.written.settings.get("vocab")
        head = head_of(shape, vocab) if isinstance(vocab, int) else None
        return LayerSequence(shape.n, made, Positions(shape.n, shape.dim), head).to(torch_dtype(shape))

    def inputs(self, shape: Shape) -> tuple[Tensor, ...]:
        """Random rows `x [b, n, D]`."""
        return stack_parts.ends(True, None).inputs(shape)

    def reference(self, shape: Shape) -> nn.Module:
        """`build(shape)` with the maths of every layer and FFN replaced by its oracle; same state dict."""
        unaided = next((mixer for mixer in self.mixers if not isinstance(mixer, CatalogTarget)), None)
        if unaided is not None:
            raise Unsupported(f"{unaided.name}, a layer of the stack, brings no reference to compare it with")
        module = self.build(shape)
        for part in module.modules():
            if isinstance(part, Checked):
                part.forward = part.reference
        return module
