"""Performer: softmax attention by positive orthogonal random features, FAVOR+ (Choromanski et al. 2021).

A key's feature is exp(w x - |x|^2 / 2 - c) + eps. Without eps the stabiliser c would cancel; with it, c decides how
much eps weighs, so causal row i takes c over the keys up to i. That maximum is applied to the sums, and not to the
features: exp(w x - |x|^2 / 2) <= exp(|w|^2 / 2) fits a float as it is, and the state needs no rescaling.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from attnprof.contracts import Spec
from attnprof.layers.function_context import FunctionContext
from attnprof.layers.in_turn import in_turn
from attnprof.layers.index_tables import counting
from attnprof.layers.scan import causal_sums, chunked, normalised, read, summed

EPSILON = 1e-4
RELU_EPSILON = 1e-3
PerformerState = tuple[Tensor, Tensor, Tensor]


class Core(nn.Module):
    """`q [b, h, n, d]`, `k, v [b, g, n, d]`; one random projection `[features, d]` for all heads.

    The factor 1/sqrt(m) cancels.
    """

    projection: Tensor

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.spec, self.kernel = spec, spec.params["kernel"]
        self.causal, self.chunk = spec.shape.causal, spec.number("chunk")
        drawn = orthogonal(spec.number("features"), spec.shape.d, spec.shape.seed + spec.layer)
        self.register_buffer("projection", drawn * spec.shape.d**-0.25)

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        if not self.causal:
            keys = self.keys(k)
            return normalised(read(self.queries(q), summed(keys, v.to(keys.dtype)))).to(v.dtype)
        rows, (q, k, v) = q.shape[2], (chunked(x, self.chunk) for x in (q, k, v))
        queries, (keys, peak), values = self.queries(q), self.bare(k), v.to(working(v.dtype))
        mixed = causal_sums(queries, keys, values).flatten(2, 3)
        if peak is not None:
            queries, values, peak = queries.flatten(2, 3), values.flatten(2, 3), peak.flatten(2, 3)
            plain = with_count(values).cumsum(2, dtype=peak.dtype)
            mixed = floored(mixed, queries, plain, peak.cummax(2).values)
        return normalised(mixed)[:, :, :rows].to(v.dtype)

    def reference(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Weights phi(q_i) phi(k_j), one by one: of a row, c is the largest w k_j over the keys that it reads.

        phi(q) = exp(w q - |q|^2 / 2 - c_i) + eps, phi(k) = exp(w k - |k|^2 / 2 - c) + eps, q and k over d^(1/4).
        """
        k, v = (x.repeat_interleave(q.shape[1] // x.shape[1], 1) for x in (k, v))
        w_q, w_k = (torch.einsum("bhid,md->bhim", x, self.projection) for x in (q, k))
        if self.kernel == "relu":
            weights = torch.einsum("bhim,bhjm->bhij", w_q.clamp(min=0) + RELU_EPSILON, w_k.clamp(min=0) + RELU_EPSILON)
        else:
            if self.kernel == "hyperbolic":
                w_q, w_k = torch.cat([w_q, -w_q], -1), torch.cat([w_k, -w_k], -1)
            half_q, half_k = ((x**2).sum(-1, keepdim=True) / (2 * x.shape[-1] ** 0.5) for x in (q, k))
            phi_q = torch.exp(w_q - half_q - w_q.detach().max(-1, keepdim=True).values) + EPSILON
            largest = w_k.detach().max(-1).values[:, :, None].expand(-1, -1, q.shape[2], -1)
            read = torch.ones_like(largest).tril() if self.causal else torch.ones_like(largest)
            c = largest.masked_fill(read == 0, float("-inf")).max(-1, keepdim=True).values
            weights = phi_q @ torch.exp(w_k - half_k).transpose(-2, -1) / torch.exp(c)
            weights = weights + EPSILON * phi_q.sum(-1, keepdim=True)
        weights = weights.tril() if self.causal else weights
        return weights @ v / weights.sum(-1, keepdim=True)

    def queries(self, x: Tensor) -> Tensor:
        """phi of queries, stabilised by the maximum of each row: `[..., d]` to `[..., m]`."""
        u = self._scores(x)
        if self.kernel == "relu":
            return (u.relu() + RELU_EPSILON).to(working(x.dtype))
        return RaisedExp.apply(u.add_(-half_norm(x) - u.detach().amax(-1, keepdim=True))).to(working(x.dtype))

    def keys(self, x: Tensor) -> Tensor:
        """phi of keys, stabilised by one number a batch item and head."""
        if self.kernel == "relu":
            return self.queries(x)
        u = self._scores(x)
        return RaisedExp.apply(u.add_(-half_norm(x) - u.detach().amax((-2, -1), keepdim=True))).to(working(x.dtype))

    def bare(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """Features of keys without stabiliser and eps, and each key's maximum `[..., 1]` (none for relu)."""
        if self.kernel == "relu":
            return self.queries(x), None
        u = self._scores(x)
        peak = u.detach().amax(-1, keepdim=True)
        return u.add_(-half_norm(x)).exp_().to(working(x.dtype)), peak

    def _scores(self, x: Tensor) -> Tensor:
        """w x, and -w x too for hyperbolic, in float32 at least: an error here is multiplied by exp."""
        dtype = wide(x.dtype)
        u = x.to(dtype) @ self.projection.to(dtype).T
        return torch.cat([u, -u], -1) if self.kernel == "hyperbolic" else u

    def state(self, n: int) -> PerformerState:
        """Sums over n tokens, of random content: of features and values, of values alone, and the maximum."""
        shape, width = self.spec.shape, self.spec.shape.d + 1
        dtype = getattr(torch, shape.dtype)
        size = (shape.batch, shape.groups)
        sums = torch.rand(*size, columns(self.spec), width, dtype=working(dtype))
        return sums, torch.rand(*size, 1, width, dtype=wide(dtype)), torch.rand(*size, 1, 1, dtype=wide(dtype))

    def prefill(self, q: Tensor, k: Tensor, v: Tensor) -> PerformerState:
        """The state after the tokens `k, v [b, g, n, d]`."""
        keys, peak = self.bare(k)
        values = v.to(keys.dtype)
        plain = with_count(values).sum(2, keepdim=True, dtype=wide(v.dtype))
        nothing = torch.full_like(plain[..., :1], float("-inf"))
        top = nothing if peak is None else torch.cat([nothing, peak], 2).amax(2, keepdim=True)
        return summed(keys, values), plain, top

    @in_turn()
    def step(self, q: Tensor, k: Tensor, v: Tensor, state: PerformerState) -> tuple[Tensor, PerformerState]:
        """One token more: the state takes it in and is read."""
        sums, plain, peak = self.prefill(q, k, v)
        state = state[0] + sums, state[1] + plain, torch.maximum(state[2], peak)
        queries = self.queries(q)
        mixed = read(queries, state[0])
        if self.kernel != "relu":
            mixed = floored(mixed, queries, state[1], state[2])
        return normalised(mixed).to(v.dtype), state


class RaisedExp(torch.autograd.Function):
    """exp(u) + eps in place, keeping for backward the result alone, which the product after it keeps anyway."""

    @staticmethod
    def forward(ctx: FunctionContext, u: Tensor) -> Tensor:
        ctx.mark_dirty(u)
        u.exp_().add_(EPSILON)
        ctx.save_for_backward(u)
        return u

    @staticmethod
    def backward(ctx: FunctionContext, *grads: Tensor) -> Tensor:
        (raised,) = ctx.saved_tensors
        return (raised - EPSILON).mul_(grads[0])


def floored(mixed: Tensor, queries: Tensor, plain: Tensor, peak: Tensor) -> Tensor:
    """Sums over bare key features as sums over stabilised ones with eps: `mixed [..., d + 1]`, times exp(-peak).

    `queries [b, h, n, m]`; `plain [b, g, n, d + 1]` holds the sums of the values read and their number.
    """
    heads = queries.shape[1] // plain.shape[1]
    scale, floor = (-peak).exp(), EPSILON * plain
    if heads > 1:
        scale, floor = (x.repeat_interleave(heads, 1) for x in (scale, floor))
    return mixed * scale + queries.sum(-1, keepdim=True) * floor


def with_count(values: Tensor) -> Tensor:
    """`[..., d]` with a column of ones, whose sum counts the rows."""
    return torch.cat([values, torch.ones_like(values[..., :1])], -1)


def half_norm(x: Tensor) -> Tensor:
    """|x|^2 / 2 of x scaled by d^(-1/4), `[..., 1]`."""
    return x.to(wide(x.dtype)).square().sum(-1, keepdim=True) * (0.5 * x.shape[-1] ** -0.5)


def wide(dtype: torch.dtype) -> torch.dtype:
    """The dtype of exponents and of long sums: float32, or float64 for float64."""
    return torch.promote_types(dtype, torch.float32)


def working(dtype: torch.dtype) -> torch.dtype:
    """The dtype of features: that of the inputs, but float32 for float16, which exp overflows."""
    return torch.float32 if dtype == torch.float16 else dtype


def orthogonal(features: int, width: int, seed: int) -> Tensor:
    """`[features, width]`: orthogonal directions in blocks of `width`, with the norms of independent Gaussian rows."""
    if counting():
        return torch.empty(features, width)
    source = torch.Generator().manual_seed(seed)
    blocks = torch.randn(-(-features // width), width, width, generator=source)
    directions = torch.linalg.qr(blocks).Q.mT.flatten(0, 1)[:features]
    return directions * torch.randn(features, width, generator=source).norm(dim=1, keepdim=True)


def columns(spec: Spec) -> int:
    """Features of a token: twice the directions for hyperbolic."""
    return spec.number("features") * (2 if spec.params["kernel"] == "hyperbolic" else 1)


def flops_core(spec: Spec) -> int:
    """2 n d (f + m) a KV head, with f directions, 2 n (f d + m d + m) a query head; causal 2 n C (m + d) more.

    There n is in whole chunks of C.
    """
    shape, m, d, chunk = spec.shape, columns(spec), spec.shape.d, spec.number("chunk")
    rows = -(-shape.n // chunk) * chunk if shape.causal else shape.n
    near = 2 * rows * chunk * (m + d) if shape.causal else 0
    each = 2 * rows * d * (spec.number("features") + m)
    return shape.batch * (shape.heads * (near + each + 2 * rows * m) + shape.groups * each)
