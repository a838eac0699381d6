"""What stands after the mixer of a block: two matrices, three with a gate, or experts that no token is dropped by."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from attnprof.layers.decisions import decided
from attnprof.layers.grouped_rows import grouped_rows


class GatedFFN(nn.Module):
    """`x [.., D]` to `[.., D]`: W3 (silu(W1 x) * W2 x), without bias (Shazeer 2020, SwiGLU); 6 D F FLOPs a token."""

    def __init__(self, dim: int, width: int) -> None:
        super().__init__()
        self.gate, self.up = nn.Linear(dim, width, bias=False), nn.Linear(dim, width, bias=False)
        self.down = nn.Linear(width, dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down(F.silu(self.gate(x)) * self.up(x))

    def reference(self, x: Tensor) -> Tensor:
        """The same, written out."""
        gate, up = (torch.einsum("...c,fc->...f", x, w.weight) for w in (self.gate, self.up))
        return torch.einsum("...f,cf->...c", gate * gate.sigmoid() * up, self.down.weight)


class ExpertFFN(nn.Module):
    """`x [b, n, D]` to `[b, n, D]`: of `experts` gated FFNs the `active` likeliest of each token, and the shared ones.

    The weights of the chosen experts are their chances, made to sum to 1 (Lepikhin et al. 2021, section 2.2; Jiang et
    al. 2024, section 2.1); shared experts are one FFN of their widths together, with the weight 1 (Dai et al. 2024,
    section 3.2). Rows are put in the order of their experts, so that every token is computed by exactly its own:
    2 D E + 6 D F (active + shared) FLOPs a token.
    """

    def __init__(self, dim: int, width: int, experts: int, active: int, shared: int = 0) -> None:
        super().__init__()
        self.active = active
        self.router = nn.Linear(dim, experts, bias=False)
        self.gate, self.up = (nn.Parameter(torch.randn(experts, dim, width) * dim**-0.5) for _ in range(2))
        self.down = nn.Parameter(torch.randn(experts, width, dim) * width**-0.5)
        self.shared = GatedFFN(dim, shared * width) if shared else None

    def forward(self, x: Tensor) -> Tensor:
        tokens = x.flatten(0, -2)
        chances = self.router(tokens).softmax(-1, dtype=torch.promote_types(x.dtype, torch.float32))
        chosen, order, ends = decided(lambda: self._dispatched(chances))
        rows = tokens.index_select(0, order // self.active)
        inner = F.silu(grouped_rows(rows, self.gate, ends)) * grouped_rows(rows, self.up, ends)
        mixed = grouped_rows(inner, self.down, ends)
        weights = chances.gather(-1, chosen)
        weights = (weights / weights.sum(-1, keepdim=True)).flatten().index_select(0, order)
        out = torch.zeros_like(tokens).index_add(0, order // self.active, mixed * weights[:, None].to(x.dtype))
        out = out.view_as(x)
        return out if self.shared is None else out + self.shared(x)

    @torch.no_grad()
    def _dispatched(self, chances: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The experts of each token `[t, k]`; the choices in the order of experts `[t k]`; where each expert ends."""
        chosen = chances.topk(self.active).indices
        order = chosen.flatten().argsort(stable=True)
        counts = F.one_hot(chosen, chances.shape[-1]).sum((0, 1))
        return chosen, order, counts.cumsum(0)

    def reference(self, x: Tensor) -> Tensor:
        """Every expert on every token, and of that the share of those that fewer than k others beat."""
        chances = torch.einsum("bnc,ec->bne", x, self.router.weight).softmax(-1)
        at = torch.arange(chances.shape[-1], device=x.device)
        tied = (chances[..., None, :] == chances[..., None]) & (at < at[:, None])
        better = (chances[..., None, :] > chances[..., None]) | tied
        weights = chances * (better.sum(-1) < self.active)
        weights = weights / weights.sum(-1, keepdim=True)
        gate, up = (torch.einsum("bnc,ecf->bnef", x, w) for w in (self.gate, self.up))
        out = torch.einsum("bne,bnef,efc->bnc", weights, gate * gate.sigmoid() * up, self.down)
        return out if self.shared is None else out + self.shared.reference(x)
