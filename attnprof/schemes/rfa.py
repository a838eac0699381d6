"""Random feature attention: sines and cosines of random directions for exp(q k) (Peng et al. 2021, section 3)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from attnprof.contracts import Spec
from attnprof.layers.attention import dtype_of
from attnprof.layers.in_turn import in_turn
from attnprof.layers.index_tables import counting
from attnprof.layers.scan import causal_sums, chunked, read, summed

LEAST = 1e-2  # of a normaliser: estimates of weights can add up to nothing, or less


class Core(nn.Module):
    """`q [b, h, n, d]`, `k, v [b, g, n, d]`; directions `[m, d]` are drawn, their scale sigma `[d]` is learned.

    Queries and keys have unit length, so that the kernel of the features is exp(q k) up to a factor.
    """

    directions: Tensor

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.spec, self.causal, self.chunk = spec, spec.shape.causal, spec.number("chunk")
        size, source = (spec.number("features"), spec.shape.d), torch.Generator()
        source.manual_seed(spec.shape.seed * 1009 + spec.layer)
        drawn = torch.empty(size) if counting() else torch.randn(size, generator=source)
        self.register_buffer("directions", drawn)
        self.sigma = nn.Parameter(torch.ones(spec.shape.d))

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        rows = q.shape[2]
        q, k = self.phi(q), self.phi(k)
        if not self.causal:
            return weighed(read(q, summed(k, v)))
        q, k, v = (chunked(x, self.chunk) for x in (q, k, v))
        return weighed(causal_sums(q, k, v).flatten(2, 3)[:, :, :rows])

    def reference(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """All weights: the mean over directions w of cos(w (q_i - k_j)), unit vectors, masked, normalised."""
        k, v = (x.repeat_interleave(q.shape[1] // x.shape[1], 1) for x in (k, v))
        w = self.directions * self.sigma
        at_q, at_k = (torch.einsum("bhnd,md->bhnm", x / x.norm(dim=-1, keepdim=True), w) for x in (q, k))
        both = [torch.einsum("bhim,bhjm->bhij", f(at_q), f(at_k)) for f in (torch.cos, torch.sin)]
        weights = (both[0] + both[1]) / len(w)
        weights = weights.tril() if self.causal else weights
        return weights @ v / weights.sum(-1, keepdim=True).clamp(min=LEAST)

    def phi(self, x: Tensor) -> Tensor:
        """sin and cos of w x over sqrt(m), x of unit length, angles in float32 at least: `[..., d]` to `[..., 2 m]`."""
        wide = torch.promote_types(x.dtype, torch.float32)
        w = (self.directions * self.sigma).to(wide)
        angles = F.normalize(x.to(wide), dim=-1) @ w.T
        return (torch.cat([angles.sin(), angles.cos()], -1) * len(w) ** -0.5).to(x.dtype)

    def state(self, n: int) -> Tensor:
        """The sum of phi(k) [v, 1]^T over n tokens, of random content: the same for every n."""
        shape, width = self.spec.shape, 2 * self.spec.number("features")
        return torch.rand(shape.batch, shape.groups, width, shape.d + 1, dtype=dtype_of(shape))

    def prefill(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """The state after the tokens `k, v [b, g, n, d]`."""
        return summed(self.phi(k), v)

    @in_turn()
    def step(self, q: Tensor, k: Tensor, v: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """One token more: the state takes it in and is read."""
        state = state + summed(self.phi(k), v)
        return weighed(read(self.phi(q), state)), state


def weighed(mixed: Tensor) -> Tensor:
    """`[..., d + 1]`, the sum of the weights in the last column, as the weighted mean `[..., d]`."""
    return mixed[..., :-1] / mixed[..., -1:].clamp(min=LEAST)


def flops_core(spec: Spec) -> int:
    """2 n m d a head for features of queries, of keys; then as a kernel of 2 m features, causal in whole chunks."""
    shape, m, d, chunk = spec.shape, spec.number("features"), spec.shape.d, spec.number("chunk")
    rows = -(-shape.n // chunk) * chunk if shape.causal else shape.n
    near = 2 * rows * chunk * (2 * m + d) if shape.causal else 0
    each_q = 2 * shape.n * m * d + near + 4 * rows * m * (d + 1)
    each_k = 2 * shape.n * m * d + 4 * rows * m * d
    return shape.batch * (shape.heads * each_q + shape.groups * each_k)
