"""Attention with a learned sink a head: a score of the softmax whose weight is dropped (OpenAI 2025, section 2.2)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from attnprof.contracts import Spec, Written
from attnprof.layers.band_decoding import BandDecoding, BandState
from attnprof.layers.flex_kernel import FlexCore
from attnprof.layers.gathered import GatherCore
from attnprof.layers.gathered import flops_core as gathered_flops
from attnprof.layers.kv_cache import KVCache, decode_step


class Core(BandDecoding, nn.Module):
    """`q [b, h, n, d]`, `k, v [b, g, n, d]` to `[b, h, n, d]`; `sinks [h]` are parameters."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.spec = spec
        self.sinks = nn.Parameter(torch.randn(spec.shape.heads))
        self.near: GatherCore | FlexCore = GatherCore(spec)

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return self.near.with_sinks(q, k, v, self.sinks)

    def reference(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Head by head: a column of the sink beside the scores of the band, one softmax, and the column left out."""
        size, place, found = max(int(str(self.spec.params["window"])), 1), q.new_ones(q.shape[2]).cumsum(0), []
        lag = place[:, None] - place
        for head, sink in enumerate(self.sinks):
            key, value = (x[:, head * x.shape[1] // q.shape[1]] for x in (k, v))
            scores = torch.einsum("bid,bjd->bij", q[:, head], key) / q.shape[-1] ** 0.5
            scores = scores.masked_fill((lag < 0) | (lag >= size), -torch.inf)
            column = sink.expand(*scores.shape[:2], 1)
            found.append(torch.cat([scores, column], -1).softmax(-1)[..., :-1] @ value)
        return torch.stack(found, 1)

    def step(self, q: Tensor, k: Tensor, v: Tensor, state: BandState) -> tuple[Tensor, KVCache]:
        """One token more, or several, over the keys of its window, and the sink of each head."""
        assert isinstance(state, KVCache)
        return decode_step(q, k, v, state, sink=self.sinks)


class FusedSinks(Core):
    """The same by FlexAttention: its output times sigmoid(lse - sink)."""

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        self.near = FlexCore(spec)


WRITTEN = {"gather": Written(Core, gathered_flops), "flex": Written(FusedSinks)}
