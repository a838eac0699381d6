"""Memory-compressed attention: local blocks and convolved keys, layer about (Liu et al. 2018, section 4.2.4)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from attnprof.contracts import Spec
from attnprof.layers.gathered import GatherCore
from attnprof.layers.gathered import flops_core as gathered_flops
from attnprof.layers.pooling import Convolved, SlotAttention, SlotDecoding
from attnprof.layers.softmax import softmax_attention
from attnprof.pattern import Blocks, Pattern


class Core(SlotDecoding, nn.Module):
    """`q [b, h, n, d]`, `k, v [b, g, n, d]`: blocks in layers L, slots in layers M."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.shape, factor = spec.shape, spec.number("factor")
        shape = self.shape
        self.block, self.causal = spec.number("block"), shape.causal
        self.local = GatherCore(blocks(spec)) if is_local(spec) else None
        if self.local is None:
            self.convolved = Convolved(shape.groups * shape.d, factor)
            self.slots = SlotAttention(shape.n, factor, shape.causal, shape.groups, shape.d)

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        if self.local is not None:
            return self.local(q, k, v)
        return self.slots(q, *self.made(k, v))

    def made(self, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Convolved keys and values, a slot for every `factor`."""
        found: tuple[Tensor, Tensor] = self.convolved(k, v)
        return found

    def state(self, n: int) -> Any:
        """What is kept of n tokens, of random content."""
        return super().state(n) if self.local is None else self.local.state(n)

    def prefill(self, q: Tensor, k: Tensor, v: Tensor) -> Any:
        """The state after the tokens `k, v [b, g, n, d]`."""
        return super().prefill(q, k, v) if self.local is None else self.local.prefill(q, k, v)

    def step(self, q: Tensor, k: Tensor, v: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Tokens more over their block so far, or over the slots."""
        return super().step(q, k, v, state) if self.local is None else self.local.step(q, k, v, state)

    def reference(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """A softmax over the tokens of the own block, or over slots made one by one."""
        if self.local is None:
            return self.slots.reference(q, *self.convolved.reference(k, v))
        place = torch.arange(q.shape[2], device=q.device)
        seen = place // self.block == (place // self.block)[:, None]
        return softmax_attention(q, k, v, seen & (place <= place[:, None]) if self.causal else seen)


def is_local(spec: Spec) -> bool:
    """Whether this layer of the stack is one of local blocks."""
    stack = str(spec.params["stack"])
    return stack[spec.layer % len(stack)] == "L"


def blocks(spec: Spec) -> Spec:
    """The spec of a local layer, whose pattern is between tokens."""
    shape, expr = spec.shape, Blocks(spec.number("block"), causal=spec.shape.causal)
    near = Pattern("blocks", shape.n, shape.causal, lambda layer, head: expr)
    return Spec(shape, spec.params, near, layer=spec.layer)


def flops_core(spec: Spec) -> int:
    """Local: 4 b d a query and head. Compressed: 4 d for each query, slot and head, 4 k D_kv^2 a slot to make them."""
    if is_local(spec):
        return gathered_flops(blocks(spec))
    shape, factor = spec.shape, spec.number("factor")
    width = shape.groups * shape.d
    pairs = SlotAttention.pairs(shape.n, factor, shape.causal)
    return shape.batch * (4 * shape.heads * shape.d * pairs + 4 * -(-shape.n // factor) * factor * width**2)
