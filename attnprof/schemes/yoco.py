"""YOCO: layers of windows, then layers that read the keys and values of one of them (Sun et al. 2024, section 2)."""

from __future__ import annotations

from torch import nn

from attnprof.contracts import Spec
from attnprof.layers.explicit_core import ExplicitCore, explicit_flops
from attnprof.layers.gathered import GatherCore
from attnprof.layers.gathered import flops_core as gathered_flops
from attnprof.layers.shared_kv import ReadingAttention, owning
from attnprof.layers.stacked import LayersInOrder
from attnprof.layers.stacked import stacked as in_order
from attnprof.words import Level


def _core(spec: Spec) -> nn.Module:
    """`q [b, h, n, d]`, `k, v [b, g, n, d]`: a window below, all of the past above."""
    return GatherCore(spec) if is_lower(spec) else ExplicitCore(spec)


Core = _core


def is_lower(spec: Spec) -> bool:
    """Whether a layer is one of the windows."""
    layers = spec.number("total")
    return spec.layer % layers < layers // 2


def stacked(layers: list[nn.Module], level: Level) -> nn.Module:
    """The first upper layer keeps keys and values; those above it have queries alone."""
    if level is Level.CORE:
        return in_order(layers, level)
    lower, upper = layers[: len(layers) // 2], layers[len(layers) // 2 :]
    if len(upper) == 1:
        return LayersInOrder(*layers)
    cores = [part for layer in upper for part in layer.modules() if isinstance(part, ExplicitCore)]
    shape = cores[0].shape
    owner = owning(shape, upper[0])
    readers = [ReadingAttention(shape, core, owner, last=core is cores[-1]) for core in cores[1:]]
    return LayersInOrder(*lower, owner, *readers)


def flops_core(spec: Spec) -> int:
    """The tiles of the window; above 4 n^2 d a head, both products in full."""
    return gathered_flops(spec) if is_lower(spec) else explicit_flops(spec)
