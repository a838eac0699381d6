"""Ring attention: blocks of keys pass by the devices' blocks of queries, one a round (Liu et al. 2023, section 3).

All devices at once on one: in round r the queries of device p meet the keys of device p - r, of the past if causal.
"""

from __future__ import annotations

import numpy as np
from torch import Tensor, nn

from attnprof.contracts import Spec
from attnprof.layers.index_tables import table
from attnprof.layers.kv_cache import Decoding
from attnprof.layers.partial_softmax import SoftmaxPart, joined, softmax_part
from attnprof.layers.scan import chunked
from attnprof.layers.softmax import softmax_attention


class Core(Decoding, nn.Module):
    """`q [b, h, n, d]`, `k, v [b, g, n, d]` to `[b, h, n, d]`."""

    later: Tensor
    absent: Tensor

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.shape, self.causal = spec.shape, spec.shape.causal
        self.blocks, self.size = devices(spec)
        places, each = np.arange(self.size), spec.shape.heads // spec.shape.groups
        shape = each * self.size, self.size
        self.register_buffer("later", table(lambda: places > np.tile(places, each)[:, None], shape), persistent=False)
        absent = np.arange(self.blocks * self.size) >= spec.shape.n
        self.register_buffer("absent", table(absent.reshape(self.blocks, 1, self.size)), persistent=False)

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        heads = q.shape[1] // k.shape[1]
        k, v = chunked(k, self.size), chunked(v, self.size)
        rows = chunked(q * q.shape[-1] ** -0.5, self.size).unflatten(1, (-1, heads)).transpose(2, 3).flatten(3, 4)
        mixed = joined([self.round(at, rows, k, v) for at in range(self.blocks)])
        mixed = mixed.unflatten(3, (heads, self.size)).transpose(2, 3).flatten(1, 2)
        return mixed.flatten(2, 3)[:, :, : q.shape[2]]

    def round(self, at: int, q: Tensor, k: Tensor, v: Tensor) -> SoftmaxPart:
        """What every device adds in one round; causal, the first `at` devices have nothing to add."""
        if not self.causal:
            return softmax_part(q, k.roll(at, 2), v.roll(at, 2), self.absent.roll(at, 0))
        behind = self.blocks - at
        hidden = None if at else self.later
        return softmax_part(q[:, :, at:], k[:, :, :behind], v[:, :, :behind], hidden).placed(at)

    def reference(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """softmax(q k^T / sqrt(d)) v."""
        place = q.new_ones(q.shape[2]).cumsum(0)
        return softmax_attention(q, k, v, place <= place[:, None] if self.causal else None)


def devices(spec: Spec) -> tuple[int, int]:
    """The devices that have tokens, and how many each has but the last."""
    size = -(-spec.shape.n // spec.number("devices"))
    return -(-spec.shape.n // size), size


def flops_core(spec: Spec) -> int:
    """4 c^2 d a head for every pair of blocks of c tokens; causal, for those of the past and the own."""
    blocks, size = devices(spec)
    pairs = blocks * (blocks + 1) // 2 if spec.shape.causal else blocks**2
    return 4 * spec.shape.batch * spec.shape.heads * spec.shape.d * size**2 * pairs
