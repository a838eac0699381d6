"""SortCut: every query reads the first blocks of the sorted keys (Tay et al. 2020, section 3.4)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from attnprof.contracts import Spec
from attnprof.layers.attention import dtype_of, random_streams
from attnprof.layers.sinkhorn_definition import in_places, permutation
from attnprof.layers.softmax import hide, softmax_attention
from attnprof.layers.sorting import SortedProjections, Sorter, blocks_of, network_flops

Projections = SortedProjections


class Core(nn.Module):
    """Streams `q, k, v [b, h, n, d]` and the scores of the sorting, `[b, blocks, blocks]`."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.params = spec.params
        self.sort = Sorter(spec, spec.number("sorted_blocks"))

    def forward(self, q: Tensor, k: Tensor, v: Tensor, scores: Tensor) -> Tensor:
        kept = self.sort(scores, k, v)
        k, v = (x.flatten(2, 3) for x in kept.streams)
        logits = (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1)
        if kept.absent is not None:
            hide(logits, kept.absent.flatten(1)[:, None, None])
        return logits.softmax(-1) @ v

    def reference(self, q: Tensor, k: Tensor, v: Tensor, scores: Tensor) -> Tensor:
        """Dense attention to the first places alone, as far as they hold a key."""
        size, hard, first = int(str(self.params["block"])), bool(self.params["hard"]), self.params["sorted_blocks"]
        weights = permutation(scores, self.params, causal=False)[:, : int(str(first))]
        keys, there = in_places(weights, k, size, hard)
        values, _ = in_places(weights, v, size, hard)
        return softmax_attention(q, keys.flatten(2, 3), values.flatten(2, 3), there.flatten(1)[:, None, None])


def streams(spec: Spec) -> tuple[Tensor, ...]:
    """Random inputs of the core."""
    blocks = blocks_of(spec)
    return (*random_streams(spec.shape), torch.randn(spec.shape.batch, blocks, blocks, dtype=dtype_of(spec.shape)))


def flops_core(spec: Spec) -> int:
    """A head: 4 n c B d to mix."""
    shape, kept = spec.shape, spec.number("sorted_blocks") * spec.number("block")
    return 4 * shape.batch * shape.heads * shape.d * shape.n * kept


def flops_selection(spec: Spec) -> int:
    """The sorting network, and a head 4 c n d to sort keys and values softly into c blocks (0 hard).

    A kept token is a sum over one token of each block, so that n tokens enter each kept block.
    """
    shape = spec.shape
    sorting = 0 if spec.params["hard"] else 4 * spec.number("sorted_blocks") * shape.n
    return network_flops(spec) + shape.batch * shape.heads * shape.d * sorting
