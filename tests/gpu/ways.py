"""Ways to compute the same pattern on the same q, k and v: ours, and torch's fused back ends under a mask."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from attnprof.contracts import Spec, Target
from attnprof.errors import Unsupported
from attnprof.impl import implementation
from attnprof.layers.attention import random_streams
from attnprof.layers.masked_softmax import pattern_mask
from attnprof.layers.softmax import softmax_attention
from attnprof.pattern import Card, Pattern
from attnprof.shapes import Shape
from attnprof.units import Value


class Eager(nn.Module):
    """Every score in memory, under the pattern's mask, None where it hides nothing."""

    mask: Tensor | None

    def __init__(self, mask: Tensor | None) -> None:
        super().__init__()
        self.register_buffer("mask", mask)

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return softmax_attention(q, k, v, self.mask)


class Pinned(nn.Module):
    """torch's fused attention with one back end allowed; it raises where that cannot take the inputs."""

    mask: Tensor | None

    def __init__(self, backend: SDPBackend, mask: Tensor | None, causal: bool) -> None:
        super().__init__()
        self.backend, self.causal = backend, causal
        self.register_buffer("mask", mask)

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        with sdpa_kernel(self.backend):
            return F.scaled_dot_product_attention(q, k, v, attn_mask=self.mask, is_causal=self.causal)


Build = Callable[[Spec], nn.Module]


@dataclass(frozen=True, slots=True)
class Way:
    """A way to compute a pattern, and whether what it executes can be counted without a device."""

    name: str
    build: Build
    counted: bool = True


def ours(name: str) -> Build:
    """The core of one of attnprof's implementations."""
    return lambda spec: implementation(name).build(replace(spec, impl=name))


def eager(spec: Spec) -> nn.Module:
    """Explicit products."""
    return Eager(mask_of(spec))


def pinned(backend: SDPBackend) -> Build:
    """One back end; dense attention needs no mask, and says by a flag that it is causal."""

    def build(spec: Spec) -> nn.Module:
        plain = is_dense(spec)
        return Pinned(backend, None if plain else mask_of(spec), plain and spec.shape.causal)

    return build


def is_dense(spec: Spec) -> bool:
    """Whether the pattern is that of dense attention, for which the back ends have paths of their own."""
    return spec.pattern is not None and spec.pattern.name == "dense"


def mask_of(spec: Spec) -> Tensor | None:
    """The pattern's mask; None where it is all True."""
    return None if is_dense(spec) and not spec.shape.causal else pattern_mask(spec)[0]


WAYS: tuple[Way, ...] = (
    Way("gather", ours("gather")),
    Way("masked", ours("masked")),
    Way("flex (compiled)", ours("flex")),
    Way("eager", eager),
    Way("sdpa flash", pinned(SDPBackend.FLASH_ATTENTION), counted=False),
    Way("sdpa cuDNN", pinned(SDPBackend.CUDNN_ATTENTION), counted=False),
    Way("sdpa efficient", pinned(SDPBackend.EFFICIENT_ATTENTION), counted=False),
)


@dataclass(frozen=True, eq=False)
class Computed:
    """A scheme's pattern computed in one way, as a target on bare streams: the counter takes it as any other."""

    scheme: Target
    way: Way

    @property
    def name(self) -> str:
        """The scheme and the way."""
        return f"{self.scheme.name} by {self.way.name}"

    @property
    def card(self) -> Card:
        """The scheme's."""
        return self.scheme.card

    @property
    def parameters(self) -> Mapping[str, Value]:
        """The scheme's."""
        return self.scheme.parameters

    @property
    def layers(self) -> int:
        """One."""
        return 1

    @property
    def impl(self) -> str | None:
        """The way."""
        return self.way.name

    def resolve(self, n: int) -> Mapping[str, Value]:
        """The scheme's parameters at this length."""
        return self.scheme.resolve(n)

    def build(self, shape: Shape) -> nn.Module:
        """The core."""
        return self.way.build(Spec(shape, self.resolve(shape.n), self.pattern(shape)))

    def inputs(self, shape: Shape) -> tuple[Tensor, ...]:
        """Random q, k and v."""
        return random_streams(shape)

    def reference(self, shape: Shape) -> nn.Module:
        """None here: the outputs of all ways are compared with explicit products."""
        raise Unsupported(f"{self.name} has no reference of its own")

    def pattern(self, shape: Shape) -> Pattern | None:
        """The scheme's."""
        return self.scheme.pattern(shape)

    def flops_paper(self, shape: Shape) -> int | None:
        """None: the scheme's formula is of other levels too."""
        return None


def exact(spec: Spec, streams: list[Tensor]) -> Tensor:
    """What every way has to give: explicit products in float32."""
    device = streams[0].device
    mask = mask_of(spec)
    with torch.no_grad():
        q, k, v = (x.float() for x in streams)
        return softmax_attention(q, k, v, None if mask is None else mask.to(device))
