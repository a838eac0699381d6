"""Luna: a short sequence P packs the tokens, and the tokens read what it packed (Ma et al. 2021, sections 3.1, 3.3)."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from attnprof.contracts import Spec
from attnprof.layers.attention import QKV, Attention, dtype_of, random_streams, split_heads
from attnprof.layers.causal_products import causal_products, product_flops
from attnprof.layers.in_turn import in_turn
from attnprof.layers.softmax import Softmax, attend, softmax_attention


class PackedSums(NamedTuple):
    """What a causal layer keeps of n tokens: sums of k_j a_j^T `[b, h, d, l]` and of a_j v_j^T `[b, h, l, d]`."""

    keys: Tensor
    values: Tensor
    n: int


class PackedBothWays(nn.Module):
    """The two mixings alone: `p [b, h, l, d]` over `k, v [b, g, n, d]`, then `q [b, h, n, d]` over what it read."""

    def forward(self, p: Tensor, k: Tensor, v: Tensor, q: Tensor) -> Tensor:
        packed = attend(p, k, v)
        return attend(q, packed, packed)

    def reference(self, p: Tensor, k: Tensor, v: Tensor, q: Tensor) -> Tensor:
        """Two softmaxes, written out."""
        packed = softmax_attention(p, k, v)
        return softmax_attention(q, packed, packed)


class PackedPast(nn.Module):
    """Causal: `p [b, h, l, d]`, and of the tokens `c, q, k, v [b, h, n, d]`; a_j = softplus(p c_j) packs token j.

    The softplus is to base 2, as in the released code: log2(1 + 2^x).
    """

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.spec, self.chunk = spec, spec.number("chunk")

    def forward(self, p: Tensor, c: Tensor, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        packing, scale = self.packing(p, c), q.shape[-1] ** -0.5
        count = torch.arange(1, q.shape[2] + 1, device=q.device)[:, None].to(q.dtype)
        weights = (causal_products(q * scale, k, packing, self.chunk) / count).softmax(-1)
        return causal_products(weights, packing, v, self.chunk) / count

    def reference(self, p: Tensor, c: Tensor, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """All pairs, masked: weights of slots from means over the past, then means over the past by those weights."""
        packing = (1 + 2 ** (torch.einsum("bhld,bhnd->bhnl", p, c) / q.shape[-1] ** 0.5)).log2()
        past = torch.ones(q.shape[2], q.shape[2], dtype=q.dtype, device=q.device).tril()
        past = past / past.sum(-1, keepdim=True)
        pairs = torch.einsum("bhid,bhjd->bhij", q, k) / q.shape[-1] ** 0.5
        slots = ((pairs * past) @ packing).softmax(-1)
        return (torch.einsum("bhil,bhjl->bhij", slots, packing) * past) @ v

    def packing(self, p: Tensor, c: Tensor) -> Tensor:
        """How much each slot takes of each token, `[b, h, n, l]`."""
        return F.softplus(c @ (p * p.shape[-1] ** -0.5).transpose(-2, -1), beta=math.log(2))

    def state(self, n: int) -> PackedSums:
        """PackedBothWays sums over n tokens, of random content: the same size for every n."""
        shape, slots = self.spec.shape, self.spec.number("packed")
        size = (shape.batch, shape.heads)
        keys = torch.rand(*size, shape.d, slots, dtype=dtype_of(shape))
        return PackedSums(keys, torch.rand(*size, slots, shape.d, dtype=dtype_of(shape)), n)

    def prefill(self, p: Tensor, c: Tensor, q: Tensor, k: Tensor, v: Tensor) -> PackedSums:
        """The state after the tokens."""
        packing = self.packing(p, c)
        return PackedSums(k.transpose(-2, -1) @ packing, packing.transpose(-2, -1) @ v, k.shape[2])

    @in_turn(beside=1)
    def step(
        self, p: Tensor, c: Tensor, q: Tensor, k: Tensor, v: Tensor, state: PackedSums
    ) -> tuple[Tensor, PackedSums]:
        """One token more: both sums take it in and are read."""
        own = self.prefill(p, c, q, k, v)
        state = PackedSums(state.keys + own.keys, state.values + own.values, state.n + 1)
        weights = (q * q.shape[-1] ** -0.5 @ state.keys / state.n).softmax(-1)
        return weights @ state.values / state.n, state


class TwoAttentions(nn.Module):
    """`x [b, n, D]`: P reads x, and x reads the result, each by a whole multi-head attention."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.p = nn.Parameter(torch.randn(spec.number("packed"), spec.shape.dim))
        self.pack, self.unpack = (Attention(spec.shape, QKV(spec.shape), Softmax()) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        return self.unpack(x, self.pack(self.p.expand(len(x), -1, -1), x))


class PackedStreams(nn.Module):
    """Of `x [b, n, D]`: P in heads, and x by four projections."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        shape = spec.shape
        self.p = nn.Parameter(torch.randn(spec.number("packed"), shape.dim))
        self.to_p, self.to_c = (nn.Linear(shape.dim, shape.heads * shape.d, bias=False) for _ in range(2))
        self.qkv = QKV(shape)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        p = split_heads(self.to_p(self.p.expand(1, -1, -1)), self.qkv.heads).expand(len(x), -1, -1, -1)
        return p, split_heads(self.to_c(x), self.qkv.heads), *self.qkv(x)


def _layer(spec: Spec) -> nn.Module:
    return Attention(spec.shape, PackedStreams(spec), PackedPast(spec)) if spec.shape.causal else TwoAttentions(spec)


def _core(spec: Spec) -> nn.Module:
    return PackedPast(spec) if spec.shape.causal else PackedBothWays()


def streams(spec: Spec) -> tuple[Tensor, ...]:
    """Random inputs of the core."""
    q, k, v = random_streams(spec.shape)
    p = q.new_empty(*q.shape[:2], spec.number("packed"), q.shape[3]).normal_()
    return (p, torch.randn_like(k), q, k, v) if spec.shape.causal else (p, k, v, q)


def flops_core(spec: Spec) -> int:
    """8 n l d a head; causal 2 n l d and two sums over the past, 4 C (d + l) + 8 l d a token in whole chunks of C."""
    shape, slots, d = spec.shape, spec.number("packed"), spec.shape.d
    one = 8 * shape.n * slots * d
    if shape.causal:
        one = 2 * shape.n * slots * d + 2 * product_flops(shape.n, spec.number("chunk"), d, slots)
    return shape.batch * shape.heads * one


Layer, Core = _layer, _core
