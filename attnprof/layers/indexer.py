"""The lightning indexer: a few small heads whose rectified products say which keys a query reads (DeepSeek-AI 2025)."""

from __future__ import annotations

from torch import Tensor, nn

from attnprof.layers.attention import split_heads


class Indexer(nn.Module):
    """`x [b, n, D]` to index queries `[b, H, n, d_I]`, one key a token `[b, 1, n, d_I]`, and weights `[b, H, n, 1]`."""

    def __init__(self, dim: int, heads: int, width: int) -> None:
        super().__init__()
        self.heads = heads
        self.to_q, self.to_k = nn.Linear(dim, heads * width, bias=False), nn.Linear(dim, width, bias=False)
        self.to_weights = nn.Linear(dim, heads, bias=False)
        self.norm = nn.LayerNorm(width, eps=1e-6)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        weights = split_heads(self.to_weights(x), self.heads)
        return split_heads(self.to_q(x), self.heads), self.norm(self.to_k(x))[:, None], weights


def index_scores(q: Tensor, k: Tensor, weights: Tensor) -> Tensor:
    """Sum over heads of w relu(q . k): `q [b, H, n, d_I]`, `k [b, m, d_I]`, `weights [b, H, n]` to `[b, n, m]`."""
    products = (q.flatten(1, 2) @ k.transpose(-2, -1)).relu_().unflatten(1, q.shape[1:3])
    return (weights.transpose(1, 2)[:, :, None] @ products.transpose(1, 2)).squeeze(2)


def projection_flops(tokens: int, dim: int, heads: int, width: int) -> int:
    """2 D (H d_I + d_I + H) a token."""
    return 2 * tokens * dim * (heads * width + width + heads)
