"""Multi-head latent attention: keys and values unpacked from one latent vector a token (DeepSeek-AI 2024, section 2.1).

Forward in the unpacked form; decoding in the absorbed one, where queries and outputs go into the latent space and all
heads read one cache of latents and rotated keys.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from attnprof.contracts import Spec
from attnprof.layers.attention import Attention, dtype_of, merge_heads, split_heads
from attnprof.layers.kv_cache import KVCache, cached, read_with, row_weights, weighted
from attnprof.layers.rotary import turned
from attnprof.layers.softmax import attend, softmax_attention


class Core(nn.Module):
    """`q, k [b, h, n, d + rope_dim]`, `v [b, h, n, d]` to `[b, h, n, d]`, scaled by 1 / sqrt(d + rope_dim)."""

    hidden: Tensor | None

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        n, self.causal, self.latent = spec.shape.n, spec.shape.causal, spec.number("kv_latent")
        self.scale = (spec.shape.d + spec.number("rope_dim")) ** -0.5
        later = torch.ones(n, n, dtype=torch.bool).triu(1) if spec.shape.causal else None
        self.register_buffer("hidden", later, persistent=False)

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return attend(q, k, v, self.hidden)

    def reference(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """softmax([q_c; q_r] [k_c; k_r]^T / sqrt(d + d_R)) v (equation 18)."""
        place = q.new_ones(q.shape[2]).cumsum(0)
        return softmax_attention(q, k, v, place <= place[:, None] if self.causal else None)

    def step(self, q: Tensor, latent: Tensor, state: KVCache) -> tuple[Tensor, KVCache]:
        """Absorbed: `q [b, h, r, d_c + d_R]` over the cache and `latent [b, 1, r, d_c + d_R]`, to `[b, h, r, d_c]`."""
        reads = read_with(state, latent, latent[..., :0])
        weights = row_weights(q * self.scale, reads.keys, hidden=reads.hidden)
        return weighted(weights, [x[..., : self.latent] for x in reads.keys], q.shape[1]), reads.cache


class Projections(nn.Module):
    """`x [b, n, D]` to queries through their latent, and keys and values through theirs (equations 9 to 17)."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        shape, self.rope = spec.shape, spec.number("rope_dim")
        self.heads, self.d, self.latent = shape.heads, shape.d, spec.number("kv_latent")
        narrow = spec.number("query_latent")
        self.down_q = nn.Linear(shape.dim, narrow, bias=False) if narrow else nn.Identity()
        self.norm_q = nn.RMSNorm(narrow, eps=1e-6) if narrow else nn.Identity()
        self.up_q = nn.Linear(narrow or shape.dim, shape.heads * (shape.d + self.rope), bias=False)
        self.down_kv = nn.Linear(shape.dim, self.latent + self.rope, bias=False)
        self.norm_kv = nn.RMSNorm(self.latent, eps=1e-6)
        self.up_kv = nn.Linear(self.latent, shape.heads * 2 * shape.d, bias=False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        latent = self.latents(x)[:, 0]
        unpacked = split_heads(self.up_kv(latent[..., : self.latent]), self.heads)
        turned_key = latent[:, None, :, self.latent :].expand(-1, self.heads, -1, -1)
        return self.queries(x), torch.cat([unpacked[..., : self.d], turned_key], -1), unpacked[..., self.d :]

    def queries(self, x: Tensor, first: int = 0) -> Tensor:
        """`[b, h, n, d + rope_dim]`, the last channels turned by the place of the token."""
        q = split_heads(self.up_q(self.norm_q(self.down_q(x))), self.heads)
        return torch.cat([q[..., : self.d], turned(q[..., self.d :], first)], -1)

    def latents(self, x: Tensor, first: int = 0) -> Tensor:
        """What is cached, `[b, 1, n, d_c + d_R]`: the normed latent and the one rotated key of all heads."""
        latent, key = self.down_kv(x)[:, None].split([self.latent, self.rope], -1)
        return torch.cat([self.norm_kv(latent), turned(key, first)], -1)


class Layer(Attention):
    """The attention layer, which decodes with the unpacking matrices absorbed into queries and outputs."""

    core: Core
    project: Projections

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec.shape, Projections(spec), Core(spec))
        self.shape = spec.shape

    def state(self, n: int) -> KVCache:
        """A latent and a rotated key of n tokens, of random content: d_c + d_R numbers a token, whatever the heads."""
        width = self.project.latent + self.project.rope
        latent = torch.randn(self.shape.batch, 1, n, width, dtype=dtype_of(self.shape))
        return KVCache(latent, latent[..., :0], n)

    def prefill(self, x: Tensor) -> KVCache:
        """The state after the tokens `x [b, n, D]`."""
        latent = self.project.latents(x)
        return cached(latent, latent[..., :0])

    def step(self, x: Tensor, state: KVCache) -> tuple[Tensor, KVCache]:
        """Tokens more, `x [b, r, D]`: queries into the latent space, the softmax there, and its means out again."""
        project = self.project
        up_k, up_v = project.up_kv.weight.view(project.heads, 2 * project.d, -1).split(project.d, 1)
        q = project.queries(x, state.n)
        absorbed = torch.cat([q[..., : project.d] @ up_k, q[..., project.d :]], -1)
        mixed, state = self.core.step(absorbed, project.latents(x, state.n), state)
        return self.out(merge_heads(mixed @ up_v.transpose(-2, -1))), state


def streams(spec: Spec) -> tuple[Tensor, ...]:
    """Random inputs of the core."""
    shape = spec.shape
    widths = (shape.d + spec.number("rope_dim"),) * 2 + (shape.d,)
    return tuple(torch.randn(shape.batch, shape.heads, shape.n, width, dtype=dtype_of(shape)) for width in widths)


def flops_core(spec: Spec) -> int:
    """2 n^2 (d + d_R) a head for the scores, 2 n^2 d for the values, masked or not."""
    shape = spec.shape
    return 2 * shape.batch * shape.heads * shape.n**2 * (2 * shape.d + spec.number("rope_dim"))
