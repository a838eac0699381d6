"""Linear attention: feature maps instead of the softmax (Katharopoulos et al. 2020, equations 4 to 9)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from attnprof.contracts import Spec
from attnprof.layers.in_turn import in_turn
from attnprof.layers.scan import causal_sums, chunked, normalised, read, summed

EPSILON = 1e-6


class Core(nn.Module):
    """`q [b, h, n, d]`, `k, v [b, g, n, d]`: two products, or, causal, chunks with running sums."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.spec, self.feature = spec, spec.params["feature"]
        self.causal, self.chunk = spec.shape.causal, spec.number("chunk")

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        rows = q.shape[2]
        if self.causal:
            q, k, v = (chunked(x, self.chunk) for x in (self.phi(q), self.phi(k), v))
            return normalised(causal_sums(q, k, v), EPSILON).flatten(2, 3)[:, :, :rows]
        return normalised(read(self.phi(q), summed(self.phi(k), v)), EPSILON)

    def reference(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """All weights phi(q_i) phi(k_j), masked, normalised, applied; of poly2 they are (q_i k_j)^2."""
        k, v = (x.repeat_interleave(q.shape[1] // x.shape[1], 1) for x in (k, v))
        if self.feature == "poly2":
            weights = torch.einsum("bhid,bhjd->bhij", q, k) ** 2
        else:
            below = torch.exp if self.feature == "elu" else torch.zeros_like
            q, k = (torch.where(x > 0, x + (self.feature == "elu"), below(x.clamp(max=0))) for x in (q, k))
            weights = torch.einsum("bhid,bhjd->bhij", q, k)
        weights = weights.tril() if self.causal else weights
        return weights @ v / (weights.sum(-1, keepdim=True) + EPSILON)

    def phi(self, x: Tensor) -> Tensor:
        """The feature map, `[..., d]` to `[..., m]`."""
        if self.feature == "elu":
            return F.elu(x).add_(1)
        return x.relu() if self.feature == "relu" else (x.unsqueeze(-1) * x.unsqueeze(-2)).flatten(-2)

    def state(self, n: int) -> Tensor:
        """The sum of phi(k) [v, 1]^T over n tokens, of random content, `[b, g, m, d + 1]`: the same for every n."""
        shape = self.spec.shape
        dtype = getattr(torch, shape.dtype)
        return torch.rand(shape.batch, shape.groups, width(self.spec), shape.d + 1, dtype=dtype)

    def prefill(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """The state after the tokens `k, v [b, g, n, d]`."""
        return summed(self.phi(k), v)

    @in_turn()
    def step(self, q: Tensor, k: Tensor, v: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """One token more: the state takes it in and is read (Katharopoulos et al. 2020, equations 18 to 20)."""
        state = state + summed(self.phi(k), v)
        return normalised(read(self.phi(q), state), EPSILON), state


def width(spec: Spec) -> int:
    """Features m of a head: d, or d^2 for poly2."""
    d = spec.shape.d
    return d * d if spec.params["feature"] == "poly2" else d


def flops_core(spec: Spec) -> int:
    """2 n m d a KV head, 2 n m (d + 1) a query head, and causal, with n in whole chunks of C, 2 n C (m + d) more."""
    shape, m, d = spec.shape, width(spec), spec.shape.d
    chunk = spec.number("chunk")
    rows = -(-shape.n // chunk) * chunk if shape.causal else shape.n
    near = 2 * rows * chunk * (m + d) if shape.causal else 0
    return shape.batch * (shape.heads * (near + 2 * rows * m * (d + 1)) + shape.groups * 2 * rows * m * d)


def flops_step(spec: Spec) -> int:
    """2 m d a KV head, 2 m (d + 1) a query head."""
    shape, m = spec.shape, width(spec)
    return shape.batch * (shape.heads * 2 * m * (shape.d + 1) + shape.groups * 2 * m * shape.d)
