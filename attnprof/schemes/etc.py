"""ETC: global and long input with projections of their own, mixed in four pieces (Ainslie et al. 2020, section 3.2)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from attnprof.layers.attention import QKV
from attnprof.layers.softmax import softmax_attention
from attnprof.runners.gather import GatherCore
from attnprof.runners.gather import flops_core as gathered_flops
from attnprof.runners.masked import MaskedCore
from attnprof.scheme import Spec


class Core(nn.Module):
    """Streams `q, k, v [b, h, n, d]` of both inputs, the global one first."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.tokens, self.radius = spec.number("global_tokens"), spec.number("window") // 2
        self.mix = MaskedCore(spec) if spec.runner == "masked" else GatherCore(spec)

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return self.mix(q, k, v)

    def reference(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Global queries over everything; long queries over the global keys and a window of the long ones."""
        place = torch.arange(q.shape[2] - self.tokens)
        window = (place - place[:, None]).abs() <= self.radius
        whole = torch.ones(len(place), self.tokens, dtype=torch.bool)
        top = softmax_attention(q[:, :, : self.tokens], k, v)
        rest = softmax_attention(q[:, :, self.tokens :], k, v, torch.cat([whole, window], 1))
        return torch.cat([top, rest], 2)


class Projections(nn.Module):
    """Queries, keys and values: of the global tokens by one set of matrices, of the long ones by another."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.tokens = spec.number("global_tokens")
        self.long = QKV(spec.shape)
        self.top = QKV(spec.shape) if self.tokens else None

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        if self.top is None:
            return self.long(x)
        pieces = zip(self.top(x[:, : self.tokens]), self.long(x[:, self.tokens :]), strict=True)
        return tuple(torch.cat(pair, 2) for pair in pieces)


def flops_core(spec: Spec) -> int:
    """The tiles of the window and the global columns, and the global rows."""
    if spec.runner == "masked":
        shape = spec.shape
        return 4 * shape.batch * shape.heads * shape.n * shape.n * shape.head_dim
    return gathered_flops(spec)
