"""SortCut: every query reads the first blocks of the sorted keys (Tay et al. 2020, section 3.4)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from attnprof.layers.attention import dtype_of, random_streams
from attnprof.layers.softmax import softmax_attention
from attnprof.layers.sorting import SortedProjections, Sorter, as_blocks, blocks_of
from attnprof.scheme import Spec

Projections = SortedProjections


class Core(nn.Module):
    """Streams `q, k, v [b, h, n, d]` and the scores of the sorting, `[b, blocks, blocks]`."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.size, self.kept = spec.number("block"), spec.number("sorted_blocks")
        self.sort = Sorter(spec, self.kept)

    def forward(self, q: Tensor, k: Tensor, v: Tensor, scores: Tensor) -> Tensor:
        k, v = (x.flatten(2, 3) for x in self.sort(scores, as_blocks(k, self.size), as_blocks(v, self.size)))
        return ((q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1)).softmax(-1) @ v

    def reference(self, q: Tensor, k: Tensor, v: Tensor, scores: Tensor) -> Tensor:
        """Dense attention to the kept part of all sorted keys."""
        weights = self.sort.matrix(scores)
        moved = torch.kron(weights, torch.eye(self.size, dtype=q.dtype, device=q.device))[:, None]
        k, v = (moved @ as_blocks(x, self.size).flatten(2, 3) for x in (k, v))
        return softmax_attention(q, k, v)


def streams(spec: Spec) -> tuple[Tensor, ...]:
    """Random inputs of the core."""
    blocks = blocks_of(spec)
    return (*random_streams(spec.shape), torch.randn(spec.shape.batch, blocks, blocks, dtype=dtype_of(spec.shape)))


def flops_core(spec: Spec) -> int:
    """A head: 4 c b B d to sort keys and values of b blocks softly into c (0 hard), 4 n c B d to mix."""
    shape, size, kept = spec.shape, spec.number("block"), spec.number("sorted_blocks")
    mixed = 0 if spec.params["hard"] else blocks_of(spec)
    return shape.batch * shape.heads * shape.head_dim * 4 * kept * size * (mixed + shape.n)
