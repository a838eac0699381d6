"""Switch: explicit dense attention, and an FFN of experts for the block (Fedus et al. 2022, section 2)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from attnprof.contracts import Spec
from attnprof.layers.experts import SwitchFeedForward
from attnprof.layers.softmax import hide, softmax_attention

WIDENING = 4


class Core(nn.Module):
    """`q, k, v [b, h, n, d]`: every score is in memory."""

    hidden: Tensor | None

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        n, self.causal = spec.shape.n, spec.shape.causal
        self.register_buffer("hidden", torch.ones(n, n, dtype=torch.bool).triu(1) if spec.shape.causal else None)

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1)
        if self.hidden is not None:
            hide(scores, self.hidden)
        return scores.softmax(-1) @ v

    def reference(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """softmax(q k^T / sqrt(d)) v."""
        place = torch.arange(q.shape[2], device=q.device)
        return softmax_attention(q, k, v, place <= place[:, None] if self.causal else None)


class FeedForward(SwitchFeedForward):
    """The FFN of this scheme's block: experts of four times the model's width."""

    def __init__(self, spec: Spec) -> None:
        shape, factor = spec.shape, spec.params["capacity"]
        assert isinstance(factor, (int, float))
        experts, chosen = spec.number("experts"), spec.number("experts_per_token")
        super().__init__(shape.n, shape.dim, WIDENING * shape.dim, experts, factor, chosen)


def flops_core(spec: Spec) -> int:
    """4 n^2 d a head: both products in full, masked or not."""
    shape = spec.shape
    return 2 * shape.batch * shape.heads * shape.n**2 * (shape.d + shape.d_v)
