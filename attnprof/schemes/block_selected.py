"""Block-sparse prefill: blocks read blocks, by the products of their means (Jiang et al. 2024, section 3.2)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from attnprof.contracts import Spec
from attnprof.layers.decisions import decided
from attnprof.layers.own_block import own_pairs, own_part
from attnprof.layers.partial_softmax import SoftmaxPart, joined, softmax_part
from attnprof.layers.row_order import rows
from attnprof.layers.scan import chunked
from attnprof.layers.selecting import selecting
from attnprof.layers.softmax import softmax_attention


class Core(nn.Module):
    """`q [b, h, n, d]`, `k, v [b, g, n, d]` to `[b, h, n, d]`; every query head chooses for itself."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.size, self.topk, (self.blocks, self.choices) = spec.number("block"), spec.number("topk"), choices(spec)

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        scaled = q * q.shape[-1] ** -0.5
        own = own_part(scaled, k, v, self.size)
        if not self.choices:
            return joined([own])
        chosen = decided(lambda: self.choose(q, k))
        hidden = (chosen == self.blocks).repeat_interleave(self.size, -1)[..., None, :]
        taken = chosen.clamp(max=self.blocks - 1)
        keys, values = (self.taken(x, taken) for x in (k, v))
        past = softmax_part(chunked(scaled, self.size), keys, values, hidden)
        return joined([own, SoftmaxPart(*(x.flatten(2, 3)[:, :, : q.shape[2]] for x in past))])

    def reference(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """One masked softmax: of past blocks those that fewer than topk - 1 others beat, by the products of means."""
        k, v = (x.repeat_interleave(q.shape[1] // x.shape[1], 1) for x in (k, v))
        place = q.new_ones(q.shape[2]).long().cumsum(0) - 1
        block = place // self.size
        which = torch.arange(int(-(-q.shape[2] // self.size)), device=q.device)
        held = (block == which[:, None]).to(q.dtype)
        means = [torch.einsum("cn,bhnd->bhcd", held, x.detach()) / held.sum(1)[:, None] for x in (q, k)]
        gate, past = torch.einsum("bhid,bhjd->bhij", *means), which < which[:, None]
        rank = gate.masked_fill(~past, -torch.inf).sort(dim=-1, descending=True, stable=True).indices.argsort(-1)
        chosen = (past & (rank < self.topk - 1)).to(q.dtype)
        mask = torch.einsum("in,bhij,jm->bhnm", held, chosen, held) > 0
        return softmax_attention(q, k, v, mask | ((block == block[:, None]) & (place <= place[:, None])))

    @selecting()
    @torch.no_grad()
    def choose(self, q: Tensor, k: Tensor) -> Tensor:
        """The past blocks that each block reads, `[b, h, blocks, choices]`; `blocks` where there are fewer."""
        of_q, of_k = (self.means(x) for x in (q, k))
        gate = (of_q.unflatten(1, (k.shape[1], -1)) @ of_k.transpose(-2, -1)[:, :, None]).flatten(1, 2)
        place = torch.arange(self.blocks, device=q.device)
        best = gate.masked_fill(place >= place[:, None], float("-inf")).topk(self.choices, sorted=False)
        return best.indices.masked_fill(best.values == float("-inf"), self.blocks)

    def means(self, x: Tensor) -> Tensor:
        """The mean of each block, the last over the tokens that it has."""
        sums = chunked(x, self.size).sum(3)
        short = x.shape[2] - (self.blocks - 1) * self.size
        return torch.cat([sums[:, :, :-1] / self.size, sums[:, :, -1:] / short], 2)

    def taken(self, x: Tensor, chosen: Tensor) -> Tensor:
        """What each block of queries chose of keys or values `[b, g, n, d]`: `[b, h, blocks, choices B, d]`."""
        heads, blocks = chosen.shape[1] // x.shape[1], chunked(x, self.size)
        index = chosen.unflatten(1, (-1, heads)).flatten(2)
        found = rows(blocks.flatten(3), index).unflatten(-1, blocks.shape[3:])
        return found.unflatten(2, (heads, *chosen.shape[2:])).flatten(1, 2).flatten(3, 4)


def choices(spec: Spec) -> tuple[int, int]:
    """Blocks, the last of which may be short, and how many past ones each reads."""
    blocks = -(-spec.shape.n // spec.number("block"))
    return blocks, max(min(spec.number("topk") - 1, blocks - 1), 0)


def flops_core(spec: Spec) -> int:
    """4 B^2 d a head for each block and each that it reads, the own one and those of the past."""
    shape, size, (_, chosen) = spec.shape, spec.number("block"), choices(spec)
    return 4 * shape.batch * shape.heads * shape.d * own_pairs(shape.n, size) * (1 + chosen)


def flops_selection(spec: Spec) -> int:
    """2 d a head and pair of blocks."""
    shape, (blocks, chosen) = spec.shape, choices(spec)
    return 2 * shape.batch * shape.heads * shape.d * blocks**2 if chosen else 0
