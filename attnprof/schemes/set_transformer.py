"""Set Transformer: attention through inducing points, ISAB (Lee et al. 2019, equations 6 to 9)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from attnprof.contracts import Spec
from attnprof.layers.attention import QKV, Attention, merge_heads, random_streams
from attnprof.layers.softmax import Softmax, attend, softmax_attention
from attnprof.shapes import Shape


class Core(nn.Module):
    """The two mixings alone: points `[b, h, m, d]` over `k, v [b, g, n, d]`, then `q [b, h, n, d]` over the points."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()

    def forward(self, points: Tensor, k: Tensor, v: Tensor, q: Tensor) -> Tensor:
        slots = attend(points, k, v)
        return attend(q, slots, slots)

    def reference(self, points: Tensor, k: Tensor, v: Tensor, q: Tensor) -> Tensor:
        """Two softmaxes, written out."""
        slots = softmax_attention(points, k, v)
        return softmax_attention(q, slots, slots)


class Layer(nn.Module):
    """ISAB: `x [b, n, D]` to `[b, n, D]` through `points` inducing points."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.points = nn.Parameter(torch.empty(spec.number("points"), spec.shape.dim))
        nn.init.xavier_uniform_(self.points)
        block = SetAttentionBlock if spec.params["variant"] == "paper" else OfficialBlock
        self.reading, self.writing = block(spec.shape), block(spec.shape)

    def forward(self, x: Tensor) -> Tensor:
        return self.writing(x, self.reading(self.points.expand(x.shape[0], -1, -1), x))


class SetAttentionBlock(nn.Module):
    """MAB(x, y) = LN(h + rFF(h)), h = LN(x + multihead(x, y, y))."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.attention = Attention(shape, QKV(shape), Softmax())
        self.after_attention, self.after_rows = nn.LayerNorm(shape.dim), nn.LayerNorm(shape.dim)
        self.rows = nn.Sequential(nn.Linear(shape.dim, shape.dim), nn.ReLU())

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        h = self.after_attention(x + self.attention(x, y))
        return self.after_rows(h + self.rows(h))


class OfficialBlock(nn.Module):
    """The authors' MAB: h = q + softmax(q k^T / sqrt(D)) v head by head, then h + rFF(h)."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.attention = ProjectedResidual(shape)
        self.rows = nn.Sequential(nn.Linear(shape.dim, shape.dim), nn.ReLU())

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        h = self.attention(x, y)
        return h + self.rows(h)


class ProjectedResidual(Attention):
    """Attention whose residual adds the projected queries, without an output projection."""

    def __init__(self, shape: Shape) -> None:
        super().__init__(shape, QKV(shape), Softmax())
        for name, heads in (("to_q", shape.heads), ("to_k", shape.groups), ("to_v", shape.groups)):
            setattr(self.project, name, nn.Linear(shape.dim, heads * shape.d))
        self.out = nn.Identity()  # type: ignore[assignment]
        self.ratio = (shape.d / shape.dim) ** 0.5

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        q, k, v = self.project(x, context)
        return merge_heads(q + self.core(q * self.ratio, k, v))


def streams(spec: Spec) -> tuple[Tensor, ...]:
    """Random inputs of the core."""
    q, k, v = random_streams(spec.shape)
    return q.new_empty(*q.shape[:2], spec.number("points"), q.shape[3]).normal_(), k, v, q


def flops_core(spec: Spec) -> int:
    """8 n m d a head: tokens to points, and back."""
    shape = spec.shape
    return 8 * shape.batch * shape.heads * shape.n * spec.number("points") * shape.d
