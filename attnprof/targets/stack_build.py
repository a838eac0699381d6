"""The layers of a stack as modules: of schemes, of a user's code, and of those that share keys and values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from attnprof.contracts import Target
from attnprof.errors import Unsupported
from attnprof.shapes import Shape
from attnprof.targets.module import ModuleTarget
from attnprof.targets.scheme import CatalogTarget
from attnprof.targets.stack_layers import StackLayer, lender_of

if TYPE_CHECKING:
    from torch import nn


def built_mixers(
    layers: Sequence[StackLayer], shapes: Mapping[StackLayer, Shape], owners: Mapping[int, int]
) -> list[list[nn.Module]]:
    """The mixers of every layer, those that share keys and values (`owners`, from 1) tied to the ones that keep them.

    A scheme that is several layers by itself gives as many; a layer without a mixer none.
    """
    from attnprof.layers.shared_kv import OwningAttention, ReadingAttention, owning

    kept: dict[int, OwningAttention] = {}
    last = {owner: reader for reader, owner in sorted(owners.items())}
    found: list[list[nn.Module]] = []
    first = 0
    for at, layer in enumerate(layers, start=1):
        made: list[nn.Module] = []
        if layer.shares_weights:
            made = found[lender_of(tuple(layers), at - 1)]
            first += 0 if layer.mixer is None else layer.mixer.layers
        elif layer.mixer is not None:
            own = shapes[layer]
            made = _built(layer, layer.mixer, own, first)
            first += layer.mixer.layers
            if at in owners.values():
                kept[at] = owning(own, made[0])
                made = [kept[at]]
            elif at in owners:
                lent = kept[owners[at]]
                made = [ReadingAttention(own, owning(own, made[0]).core, lent, last=last[owners[at]] == at)]
        found.append(made)
    return found


def blocks_of(mixer: Target, shape: Shape) -> int:
    """In how many blocks a mixer stands: as many as the modules that its layers come as, which some schemes join."""
    if mixer.layers == 1 or not isinstance(mixer, CatalogTarget):
        return 1
    from attnprof.torch_private import fake_mode

    mixer.check(shape)
    with fake_mode():
        return len(mixer.attention_layers(shape))


def _built(layer: StackLayer, mixer: Target, shape: Shape, first: int) -> list[nn.Module]:
    """The modules of one layer: of a scheme that is several layers, all of them. Names the layer in what it raises."""
    try:
        if isinstance(mixer, CatalogTarget):
            mixer.check(shape)
            made = mixer.attention_layers(shape, first if mixer.layers == 1 else 0)
            if len(made) > mixer.layers:
                raise Unsupported(f"{mixer.name} merges tokens after its layers: they stand in no stack")
            return made
        return [_of_code(mixer, shape)]
    except Unsupported as error:
        raise Unsupported(f"in the layer `{layer.label}`: {error.message}", hint=error.hint) from error


def _of_code(mixer: Target, shape: Shape) -> nn.Module:
    """A user's module, with whatever it takes beside its rows held for it; a function of q, k, v with projections."""
    from attnprof.layers.attention import QKV, Attention
    from attnprof.layers.stack_modules import OwnLayer

    if not isinstance(mixer, ModuleTarget):
        raise Unsupported(f"{mixer.name} is no layer: neither a scheme, a pattern nor a module")
    module, _ = mixer.followed(shape)
    return Attention(shape, QKV(shape), module) if mixer.takes_streams(shape) else OwnLayer(module)
