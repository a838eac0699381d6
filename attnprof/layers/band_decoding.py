"""Tokens more under a pattern, whatever goes forward: a ring of the last keys, the first ones beside it."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from attnprof.contracts import Spec
from attnprof.errors import Unsupported
from attnprof.layers.edge_decoding import EdgeState, edge_prefill, edge_state, edge_step
from attnprof.layers.kv_cache import KVCache, cached, decode_step, mixed_row, random_cache, read_with
from attnprof.pattern import Band, Expr, Global, Union


class SinkCache(NamedTuple):
    """The first keys and values, `[b, g, sinks, d]` at most, and the ring of the last ones."""

    k: Tensor
    v: Tensor
    ring: KVCache


BandState = KVCache | SinkCache | EdgeState


class BandDecoding:
    """`state`, `prefill` and `step` of a core under a causal pattern.

    Of one band, with or without the first tokens, a ring keeps what is needed; of another pattern what later rows read.
    """

    spec: Spec

    def state(self, n: int) -> BandState:
        """Keys and values that a query can read, of random content."""
        found = window(self.spec)
        if found is None:
            return edge_state(self.spec, n)
        band, sinks = found
        last = random_cache(self.spec.shape, n, reach(band))
        if not sinks:
            return last
        first = random_cache(self.spec.shape, min(n, sinks))
        return SinkCache(first.k, first.v, last)

    def prefill(self, q: Tensor, k: Tensor, v: Tensor, *more: Tensor) -> BandState:
        """The state after the tokens `k, v [b, g, n, d]`."""
        found = window(self.spec)
        if found is None:
            return edge_prefill(self.spec, k, v)
        band, sinks = found
        last = cached(k, v, reach(band))
        return SinkCache(k[:, :, :sinks].clone(), v[:, :, :sinks].clone(), last) if sinks else last

    def step(self, q: Tensor, k: Tensor, v: Tensor, state: BandState) -> tuple[Tensor, BandState]:
        """One token more, or several, each over the keys of its row."""
        if isinstance(state, EdgeState):
            return edge_step(self.spec, q, k, v, state)
        found = window(self.spec)
        assert found is not None
        band, sinks = found
        if isinstance(state, KVCache):
            return decode_step(q, k, v, state, band.dilation)
        new = max(sinks - state.ring.n, 0)
        first_k, first_v = (torch.cat([x, more[:, :, :new]], 2) for x, more in ((state.k, k), (state.v, v)))
        apart = min(sinks, max(state.ring.n + q.shape[2] - reach(band), 0))
        hidden, n, rows = None, state.ring.n, q.shape[2]
        reads = read_with(state.ring, k, v)
        if reads.hidden is not None:
            lag = torch.arange(n, n + rows, device=q.device)[:, None] - torch.arange(apart, device=q.device)
            hidden = torch.cat([lag < reach(band), reads.hidden], 1)
        keys, values = [first_k[:, :, :apart], *reads.keys], [first_v[:, :, :apart], *reads.values]
        return mixed_row(q, keys, values, hidden=hidden), SinkCache(first_k, first_v, reads.cache)


def window(spec: Spec) -> tuple[Band, int] | None:
    """The causal band of a pattern, and how many first tokens every query reads; None for another causal pattern.

    Raises `Unsupported` for one that is not causal.
    """
    assert spec.pattern is not None
    if not spec.pattern.causal:
        raise Unsupported(
            f"{spec.pattern.name} is bidirectional here: a token more would change what the others read",
            hint="--causal, where the scheme has that form",
        )
    expr = spec.pattern.expr(spec.layer)
    parts = expr.parts if isinstance(expr, Union) else (expr,)
    sinks = [part for part in parts if _is_first_tokens(part)]
    others = [part for part in parts if not _is_first_tokens(part)]
    match others, sinks:
        case [Band(after=0) as band], [] if spec.pattern.heads == 1:
            return band, 0
        case [Band(after=0, dilation=1) as band], [Global(last=last)] if spec.pattern.heads == 1:
            return band, last
    return None


def _is_first_tokens(part: Expr) -> bool:
    return isinstance(part, Global) and part.columns and not (part.rows or part.first)


def reach(band: Band) -> int:
    """Tokens that a query reaches back over, itself included."""
    return band.before * band.dilation + 1
