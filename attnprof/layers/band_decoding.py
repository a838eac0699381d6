"""One token more under a pattern, whatever goes forward: a ring of the last keys, the first ones beside it."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from attnprof.contracts import Spec
from attnprof.errors import Unsupported
from attnprof.layers.kv_cache import KVCache, appended, cached, decode_step, mixed_row, random_cache
from attnprof.pattern import Band, Expr, Global, Union


class SinkCache(NamedTuple):
    """The first keys and values, `[b, g, sinks, d]` at most, and the ring of the last ones."""

    k: Tensor
    v: Tensor
    ring: KVCache


BandState = KVCache | SinkCache


class BandDecoding:
    """`state`, `prefill` and `step` of a core whose heads have one causal band, with or without the first tokens."""

    spec: Spec

    def state(self, n: int) -> BandState:
        """Keys and values that a query can read, of random content."""
        band, sinks = window(self.spec)
        last = random_cache(self.spec.shape, n, reach(band))
        if not sinks:
            return last
        first = random_cache(self.spec.shape, min(n, sinks))
        return SinkCache(first.k, first.v, last)

    def prefill(self, q: Tensor, k: Tensor, v: Tensor) -> BandState:
        """The state after the tokens `k, v [b, g, n, d]`."""
        band, sinks = window(self.spec)
        last = cached(k, v, reach(band))
        return SinkCache(k[:, :, :sinks].clone(), v[:, :, :sinks].clone(), last) if sinks else last

    def step(self, q: Tensor, k: Tensor, v: Tensor, state: BandState) -> tuple[Tensor, BandState]:
        """One token more over the keys of its row: at most `before + 1` of them, and the first tokens."""
        band, sinks = window(self.spec)
        if isinstance(state, KVCache):
            return decode_step(q, k, v, state, band.dilation)
        first_k, first_v = state.k, state.v
        if state.ring.n < sinks:
            first_k, first_v = torch.cat([first_k, k], 2), torch.cat([first_v, v], 2)
        last = appended(state.ring, k, v)
        apart = min(sinks, max(last.n - reach(band), 0))
        mixed = mixed_row(q, [first_k[:, :, :apart], last.k], [first_v[:, :, :apart], last.v])
        return mixed, SinkCache(first_k, first_v, last)


def window(spec: Spec) -> tuple[Band, int]:
    """The causal band of a pattern, and how many first tokens every query reads. Raises `Unsupported` for any other."""
    assert spec.pattern is not None
    expr = spec.pattern.expr(spec.layer)
    parts = expr.parts if isinstance(expr, Union) else (expr,)
    sinks = [part for part in parts if _is_first_tokens(part)]
    others = [part for part in parts if not _is_first_tokens(part)]
    match others, sinks:
        case [Band(after=0) as band], [] if spec.pattern.heads == 1:
            return band, 0
        case [Band(after=0, dilation=1) as band], [Global(last=last)] if spec.pattern.heads == 1:
            return band, last
    raise Unsupported(
        f"no step token by token is written for the pattern of {spec.pattern.name}: one is for a causal "
        f"band, with or without the first tokens",
        hint="sliding_window --causal",
    )


def _is_first_tokens(part: Expr) -> bool:
    return isinstance(part, Global) and part.columns and not (part.rows or part.first)


def reach(band: Band) -> int:
    """Tokens that a query reaches back over, itself included."""
    return band.before * band.dilation + 1
