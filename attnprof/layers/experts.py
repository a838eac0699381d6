"""A mixture of experts instead of a position-wise FFN: each token goes to one expert (Fedus et al. 2022, section 2)."""

from __future__ import annotations

from math import ceil

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from attnprof.layers.decisions import decided
from attnprof.layers.rows import picked

BALANCE = 1e-2


class SwitchFeedForward(nn.Module):
    """`x [b, n, D]` to `[b, n, D]`: y = p_e FFN_e(x) with e the likeliest expert, without bias.

    An expert takes `capacity` tokens of a sequence, ceil(n / experts * factor), the earlier ones first; a token beyond
    that gives 0, so that only the residual is left of it. Tokens are gathered and put back by index, without products.
    """

    def __init__(self, n: int, dim: int, hidden: int, experts: int, factor: float) -> None:
        super().__init__()
        self.experts, self.capacity = experts, ceil(n / experts * factor)
        self.router = nn.Linear(dim, experts, bias=False)
        self.inner = nn.Parameter(torch.randn(experts, dim, hidden) * dim**-0.5)
        self.outer = nn.Parameter(torch.randn(experts, hidden, dim) * hidden**-0.5)

    def forward(self, x: Tensor) -> Tensor:
        chances = self.chances(x)
        expert, slot = decided(lambda: self.slots(chances))
        tokens = picked(F.pad(x, (0, 0, 0, 1))[:, None], self._sources(slot, x.shape[1]))[:, 0]
        tokens = tokens.unflatten(1, (self.experts, -1)).transpose(0, 1).flatten(1, 2)
        mixed = (F.relu(tokens @ self.inner) @ self.outer).unflatten(1, (x.shape[0], -1)).transpose(0, 1).flatten(1, 2)
        back = picked(F.pad(mixed, (0, 0, 0, 1))[:, None], slot[:, None])[:, 0]
        return back * chances.gather(-1, expert[..., None]).to(x.dtype)

    def reference(self, x: Tensor) -> Tensor:
        """Every expert on every token, and of that the part of the expert that took it."""
        chances = self.chances(x)
        expert, slot = self.slots(chances)
        out = torch.zeros_like(x)
        for at in range(self.experts):
            taken = ((expert == at) & (slot < self.experts * self.capacity))[..., None]
            out = out + taken * chances[..., at, None].to(x.dtype) * (F.relu(x @ self.inner[at]) @ self.outer[at])
        return out

    def chances(self, x: Tensor) -> Tensor:
        """Softmax over the experts, `[b, n, experts]`, in float32 at least."""
        scores = self.router(x)
        return scores.softmax(-1, dtype=torch.promote_types(scores.dtype, torch.float32))

    @torch.no_grad()
    def slots(self, chances: Tensor) -> tuple[Tensor, Tensor]:
        """For each token its expert, and its place among `experts * capacity`, or one behind all if there is none."""
        expert = chances.argmax(-1)
        chosen = F.one_hot(expert, self.experts)
        rank = chosen.cumsum(1).gather(-1, expert[..., None]).squeeze(-1) - 1
        slot = expert * self.capacity + rank
        return expert, torch.where(rank < self.capacity, slot, self.experts * self.capacity)

    def balance(self, x: Tensor) -> Tensor:
        """The auxiliary loss 0.01 E sum over experts of (share of tokens) * (mean chance) (equation 4)."""
        chances = self.chances(x)
        share = F.one_hot(chances.argmax(-1), self.experts).to(chances.dtype).mean((0, 1))
        return BALANCE * self.experts * (share * chances.mean((0, 1))).sum()

    def _sources(self, slot: Tensor, n: int) -> Tensor:
        """The token in each place, `[b, 1, experts * capacity]`; n where a place stays empty."""
        places = self.experts * self.capacity
        source = torch.full((slot.shape[0], places + 1), n, dtype=torch.int64, device=slot.device)
        token = torch.arange(n, device=slot.device).expand_as(slot)
        return source.scatter(1, slot, token)[:, None, :places]


def flops_experts(batch: int, n: int, dim: int, hidden: int, experts: int, factor: float) -> int:
    """2 n D E to route, 4 E C D F for the experts, each at its full capacity C."""
    return batch * (2 * n * dim * experts + 4 * experts * ceil(n / experts * factor) * dim * hidden)
