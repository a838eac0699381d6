"""A mixture of experts instead of a position-wise FFN: each token goes to one or two of them.

One expert: Fedus et al. 2022, section 2; two: Lepikhin et al. 2021, section 2.2.
"""

from __future__ import annotations

from math import ceil

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from attnprof.layers.decisions import decided
from attnprof.layers.row_order import picked


class SwitchFeedForward(nn.Module):
    """`x [b, n, D]` to `[b, n, D]`: y = sum of g_e FFN_e(x) over the k likeliest experts e, without bias.

    g is the chance p_e of the only expert, or the chances of several made to sum to 1. An expert takes `capacity`
    tokens of a sequence, ceil(k n / experts * factor), the earlier ones first; a token beyond that gives 0, so that
    only the residual is left of it. Tokens are gathered and put back by index, without products.
    """

    def __init__(self, n: int, dim: int, hidden: int, experts: int, factor: float, per_token: int = 1) -> None:
        super().__init__()
        self.experts, self.per_token = experts, per_token
        self.capacity = capacity_of(n, experts, factor, per_token)
        self.router = nn.Linear(dim, experts, bias=False)
        self.inner = nn.Parameter(torch.randn(experts, dim, hidden) * dim**-0.5)
        self.outer = nn.Parameter(torch.randn(experts, hidden, dim) * hidden**-0.5)

    def forward(self, x: Tensor) -> Tensor:
        chances = self.chances(x)
        expert, slot = decided(lambda: self.slots(chances))
        tokens = picked(F.pad(x, (0, 0, 0, 1))[:, None], self._sources(slot))[:, 0]
        tokens = tokens.unflatten(1, (self.experts, -1)).transpose(0, 1).flatten(1, 2)
        inner = F.relu(tokens @ self.inner, inplace=True)
        mixed = (inner @ self.outer).unflatten(1, (x.shape[0], -1)).transpose(0, 1).flatten(1, 2)
        back = picked(F.pad(mixed, (0, 0, 0, 1))[:, None], slot.flatten(1)[:, None])[:, 0]
        weighed = back.unflatten(1, slot.shape[1:]) * self.gates(chances, expert)[..., None].to(x.dtype)
        return weighed.sum(2) if self.per_token > 1 else weighed[:, :, 0]

    def reference(self, x: Tensor) -> Tensor:
        """Every expert on every token, and of that the part of the expert that took it.

        A token's choices are the experts that fewer than k others beat; an expert takes it if fewer than `capacity`
        choices of it stand before: those of earlier tokens, each token's own being different experts.
        """
        chances = torch.einsum("bnc,ec->bne", x, self.router.weight).softmax(-1)
        at = torch.arange(self.experts, device=x.device)
        tied = (chances[..., None, :] == chances[..., None]) & (at < at[:, None])
        better = (chances[..., None, :] > chances[..., None]) | tied
        chosen = better.sum(-1) < self.per_token
        earlier = torch.arange(x.shape[1], device=x.device)
        before = torch.einsum("ij,bje->bie", (earlier < earlier[:, None]).to(x.dtype), chosen.to(x.dtype))
        gates = chances * chosen
        gates = gates / gates.sum(-1, keepdim=True) if self.per_token > 1 else gates
        gates = gates * (before < self.capacity)
        inner = torch.einsum("bnc,ecf->bnef", x, self.inner).clamp(min=0)
        return torch.einsum("bne,bnef,efc->bnc", gates, inner, self.outer)

    def chances(self, x: Tensor) -> Tensor:
        """Softmax over the experts, `[b, n, experts]`, in float32 at least."""
        scores = self.router(x)
        return scores.softmax(-1, dtype=torch.promote_types(scores.dtype, torch.float32))

    def gates(self, chances: Tensor, expert: Tensor) -> Tensor:
        """The weights `[b, n, k]` of the chosen experts: the one chance, or several divided by their sum."""
        chosen = chances.gather(-1, expert)
        return chosen / chosen.sum(-1, keepdim=True) if self.per_token > 1 else chosen

    @torch.no_grad()
    def slots(self, chances: Tensor) -> tuple[Tensor, Tensor]:
        """The experts of each token, `[b, n, k]`, and its places among `experts * capacity`; one behind all for none.

        All choices of a token queue before those of the next one, so that no place depends on a later token.
        """
        several = self.per_token > 1
        expert = chances.topk(self.per_token).indices if several else chances.argmax(-1, keepdim=True)
        queue = expert.flatten(1)
        rank = F.one_hot(queue, self.experts).cumsum(1).gather(-1, queue[..., None]).view_as(expert) - 1
        slot = expert * self.capacity + rank
        return expert, torch.where(rank < self.capacity, slot, self.experts * self.capacity)

    def _sources(self, slot: Tensor) -> Tensor:
        """The token in each place, `[b, 1, experts * capacity]`; n where a place stays empty."""
        places, n = self.experts * self.capacity, slot.shape[1]
        source = torch.full((slot.shape[0], places + 1), n, dtype=torch.int64, device=slot.device)
        token = torch.arange(n, device=slot.device)[:, None].expand_as(slot).flatten(1)
        return source.scatter(1, slot.flatten(1), token)[:, None, :places]


def capacity_of(n: int, experts: int, factor: float, per_token: int = 1) -> int:
    """Tokens of a sequence that an expert takes: ceil(k n / E * factor) (Fedus et al. 2022, equation 3)."""
    return ceil(per_token * n / experts * factor)
