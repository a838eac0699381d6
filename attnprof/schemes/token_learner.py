"""TokenLearner 1.1: maps over the positions pool a few tokens, a fuser spreads them out (Ryoo et al. 2021)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from attnprof.contracts import Spec
from attnprof.layers.attention import QKV, Attention, dtype_of, merge_heads, random_streams, split_heads
from attnprof.layers.softmax import Softmax, attend, softmax_attention
from attnprof.words import Level


class Core(nn.Module):
    """The mixings alone: `maps [b, S, n]` pool `x [b, n, D]`, the tokens attend, `gates [b, n, S]` spread them."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.heads = spec.shape.heads

    def forward(self, maps: Tensor, x: Tensor, gates: Tensor) -> Tensor:
        tokens = split_heads(maps @ x, self.heads)
        return gates @ merge_heads(attend(tokens, tokens, tokens))

    def reference(self, maps: Tensor, x: Tensor, gates: Tensor) -> Tensor:
        """The same sums, written out."""
        tokens = torch.einsum("bsn,bnc->bsc", maps, x)
        heads = tokens.reshape(*tokens.shape[:2], self.heads, -1).permute(0, 2, 1, 3)
        mixed = softmax_attention(heads, heads, heads).permute(0, 2, 1, 3).reshape(tokens.shape)
        return torch.einsum("bns,bsc->bnc", gates, mixed)


class WeightedSums(nn.Module):
    """`weights [b, 1, rows, m]` times `values [b, 1, m, D]`."""

    def forward(self, weights: Tensor, values: Tensor) -> Tensor:
        return weights @ values

    def reference(self, weights: Tensor, values: Tensor) -> Tensor:
        """The same, written out."""
        return torch.einsum("bhij,bhjd->bhid", weights, values)


class Mapped(nn.Module):
    """Weights of `S` tokens at each position of `x [b, n, D]`: normalisation and two layers, `[b, n, S]`."""

    biased = True

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        dim, hidden, tokens = spec.shape.dim, spec.number("hidden"), spec.number("tokens")
        last = nn.Linear(hidden, tokens, bias=self.biased)
        self.layers = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, hidden), nn.GELU(), last)

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)  # type: ignore[no-any-return]


class PoolStreams(Mapped):
    """Maps of `x [b, n, D]`, which add up to 1 over the positions (so that a bias would cancel), and x itself."""

    biased = False

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        return self.layers(x).softmax(1).transpose(1, 2)[:, None], x[:, None]


class FuseStreams(Mapped):
    """Gates of `x [b, n, D]`, and the learned tokens `context [b, S, D]`, mixed with one another."""

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        self.mix = nn.Linear(spec.number("tokens"), spec.number("tokens"))

    def forward(self, x: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        tokens = self.mix(context.transpose(1, 2)).transpose(1, 2)
        return self.layers(x).sigmoid()[:, None], tokens[:, None]


class Layer(nn.Module):
    """`x [b, n, D]` to `[b, n, D]`: pooled to S tokens, one attention among them, spread out over the positions."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.pool = Attention(spec.shape, PoolStreams(spec), WeightedSums())
        self.among = Attention(spec.shape, QKV(spec.shape), Softmax())
        self.fuse = Attention(spec.shape, FuseStreams(spec), WeightedSums())
        self.pool.out = self.fuse.out = nn.Identity()  # type: ignore[assignment]

    def forward(self, x: Tensor) -> Tensor:
        return self.fuse(x, self.among(self.pool(x)))


def streams(spec: Spec) -> tuple[Tensor, ...]:
    """Random inputs of the core."""
    shape, tokens = spec.shape, spec.number("tokens")
    x = merge_heads(random_streams(shape)[0])
    maps = torch.randn(shape.batch, tokens, shape.n, dtype=dtype_of(shape)).softmax(-1)
    return maps, x, torch.rand(shape.batch, shape.n, tokens, dtype=dtype_of(shape))


def flops_core(spec: Spec) -> int:
    """4 n S D for pooling and spreading and 4 S^2 D among the S learned tokens."""
    shape, tokens = spec.shape, spec.number("tokens")
    wide = shape.heads * shape.d if shape.level is Level.CORE else shape.dim
    return shape.batch * (4 * shape.n * tokens * wide + 4 * tokens**2 * shape.heads * shape.d)
