"""Attention over pooled keys and values: by mean, by maximum, or by a strided convolution."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from attnprof.contracts import Spec
from attnprof.layers.pooling import Convolved, SlotAttention, SlotDecoding, pooled


class Core(SlotDecoding, nn.Module):
    """`q [b, h, n, d]`, `k, v [b, g, n, d]`, pooled inside."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.shape = shape = spec.shape
        self.factor, self.kind = spec.number("factor"), str(spec.params["pooling"])
        width = shape.groups * shape.d
        self.convolved = Convolved(width, self.factor) if self.kind == "conv" else None
        self.slots = SlotAttention(shape.n, self.factor, shape.causal, shape.groups, shape.d)

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return self.slots(q, *self.made(k, v))

    def made(self, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Pooled keys and values, `[b, g, ceil(n / factor), d]`."""
        if self.convolved is not None:
            found: tuple[Tensor, Tensor] = self.convolved(k, v)
            return found
        return pooled(k, self.factor, self.kind), pooled(v, self.factor, self.kind)

    def reference(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Slot by slot from the tokens in it."""
        if self.convolved is not None:
            return self.slots.reference(q, *self.convolved.reference(k, v))
        return self.slots.reference(q, self._slot_by_slot(k), self._slot_by_slot(v))

    def _slot_by_slot(self, x: Tensor) -> Tensor:
        parts = x.split(self.factor, 2)
        means = [part.amax(2) if self.kind == "max" else part.mean(2) for part in parts]
        return torch.stack(means, 2)


def flops_core(spec: Spec) -> int:
    """4 d a head for each query and slot; conv: 2 k D_kv^2 a slot for keys, and for values."""
    shape, factor = spec.shape, spec.number("factor")
    pairs = SlotAttention.pairs(shape.n, factor, shape.causal)
    width = shape.groups * shape.d
    learned = 4 * -(-shape.n // factor) * factor * width * width if spec.params["pooling"] == "conv" else 0
    return shape.batch * (4 * shape.heads * shape.d * pairs + learned)
