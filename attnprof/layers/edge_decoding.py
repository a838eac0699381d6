"""Tokens more under any causal pattern: each reads the kept keys that its row of the pattern names, and no others."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from attnprof.contracts import Spec
from attnprof.layers.index_tables import table
from attnprof.layers.kv_cache import TAIL, KVCache, appended, cached, mixed_each, pieces, random_cache, taken
from attnprof.pattern import Band, Blocks, Expr, Halo, Union


class EdgeState(NamedTuple):
    """Keys and values of the tokens from `first` on: those before it no later row reads."""

    cache: KVCache
    first: int


def edge_state(spec: Spec, n: int) -> EdgeState:
    """What is kept of n tokens, of random content."""
    first = first_kept(spec, n)
    return EdgeState(random_cache(spec.shape, n - first), first)


def edge_prefill(spec: Spec, k: Tensor, v: Tensor) -> EdgeState:
    """What is kept of the tokens `k, v [b, g, n, d]`."""
    first = first_kept(spec, k.shape[2])
    return EdgeState(cached(k[:, :, first:], v[:, :, first:]), first)


def edge_step(spec: Spec, q: Tensor, k: Tensor, v: Tensor, state: EdgeState) -> tuple[Tensor, EdgeState]:
    """Tokens more, `q [b, h, r, d]` and `k, v [b, g, r, d]`: the keys of their rows, gathered."""
    n, rows, first = state.first + state.cache.n, q.shape[2], first_kept(spec, state.first + state.cache.n + q.shape[2])
    cache = appended(state.cache, k, v)
    mixed = _mixed(q, cache, *row_keys(spec, n, rows), state.first)
    if first > state.first:
        keys, values = (torch.cat(kept, 2)[:, :, first - state.first :].clone() for kept in pieces(cache))
        cache = cached(keys, values)
    return mixed, EdgeState(cache, first)


def _mixed(q: Tensor, cache: KVCache, keys: np.ndarray, absent: np.ndarray, first: int) -> Tensor:
    """The rows' softmaxes over keys `[1 or h, r, width]`: places, some of them absent."""
    groups, (kinds, *each) = cache.k.shape[1], keys.shape
    index = table(np.where(absent, 0, keys - first)).view(1 if kinds == 1 else groups, -1)
    found = taken(cache, index.expand(len(q), groups, -1))
    near = [x.unflatten(2, (-1, *each)).flatten(1, 2) for x in found]
    hidden = table(absent[:, :, None]) if absent.any() else None
    return mixed_each(q, near[0], near[1], hidden)


def row_keys(spec: Spec, first: int, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Keys of the rows from `first` on, `[1 or h, rows, width]`, the widest row's width, and where there is none."""
    pattern = spec.edges().reaching(first + rows)
    kinds = min(pattern.heads, spec.shape.heads)
    n, lists = max(pattern.n, first + rows), []
    for kind in range(kinds):
        found = pattern.expr(spec.layer, kind).reader(n)(first, first + rows)
        of_row = np.repeat(found.row - first, found.counts)
        lists.append((of_row, found.csr()[1], np.bincount(of_row, minlength=rows)))
    width = max(1, *(int(counts.max()) for *_, counts in lists))
    keys, absent = np.zeros((kinds, rows, width), np.int64), np.ones((kinds, rows, width), np.bool_)
    for kind, (of_row, each, counts) in enumerate(lists):
        within = np.arange(len(each)) - np.repeat(np.cumsum(counts) - counts, counts)
        keys[kind, of_row, within], absent[kind, of_row, within] = each, False
    order = [head % kinds for head in range(spec.shape.heads)] if kinds > 1 else [0]
    return keys[order], absent[order]


def first_kept(spec: Spec, n: int) -> int:
    """The first token that any row from n on may read: where a pattern is none of these, the very first."""
    pattern = spec.edges()
    kinds = range(min(pattern.heads, spec.shape.heads))
    return max(min(_reaches_back(pattern.expr(spec.layer, kind), n) for kind in kinds), 0)


def _reaches_back(expr: Expr, n: int) -> int:
    match expr:
        case Band(before=before, dilation=step):
            return (n - before * step) // TAIL * TAIL  # page by page, not token by token
        case Blocks(size=size, before=before):
            return (n // size - before) * size
        case Halo(size=size, before=before):
            return n // size * size - before
        case Union(parts=parts):
            return min(_reaches_back(part, n) for part in parts)
    return 0
