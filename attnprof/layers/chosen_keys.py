"""Queries that choose single keys among all of the past, and read them: two operators, each whole to autograd.

Inside they go through the queries in stretches, whose scores and gathered keys stay within a budget of numbers, as a
kernel would: nothing grows as n times n, and a count sees one operator, whose work follows from its sizes.
"""

from __future__ import annotations

import torch
from torch import Tensor

from attnprof.layers.function_context import FunctionContext
from attnprof.layers.indexer import index_scores

BUDGET = 1 << 26  # numbers that one stretch holds at once


def stretches(n: int, numbers_a_row: int) -> list[slice]:
    """Rows 0 to n in stretches of equal length, a power of two where they are several, within the budget."""
    most = max(BUDGET // max(numbers_a_row, 1), 1)
    rows = n if n <= most else 1 << (most.bit_length() - 1)
    return [slice(first, min(first + rows, n)) for first in range(0, n, rows)]


def choice_pairs(batch: int, heads: int, n: int, rate: int = 1) -> int:
    """Query-key pairs that the indexer scores: every stretch of queries with the keys up to its end.

    With `rate`, a key stands for so many tokens, and is there once they are.
    """
    return sum((rows.stop - rows.start) * (rows.stop // rate) for rows in stretches(n, batch * heads * n))


@torch.library.custom_op("attnprof::choose_keys", mutates_args=())
def choose_keys(q: Tensor, k: Tensor, weights: Tensor, count: int, rate: int) -> tuple[Tensor, Tensor]:
    """The `count` keys with the largest index scores of each query, and which of these it has not seen.

    `q [b, H, n, d_I]`, `k [b, m, d_I]`, `weights [b, H, n]` to two `[b, n, count]`. Key j is seen by query i where
    (j + 1) rate <= i + 1. Of equal scores the earlier key is taken: rectified products are often all 0.
    """
    found = []
    for rows in stretches(q.shape[2], q.shape[0] * q.shape[1] * q.shape[2]):
        scores = index_scores(q[:, :, rows], k[:, : rows.stop // rate], weights[:, :, rows])
        ends = (torch.arange(scores.shape[-1], device=q.device) + 1) * rate
        unseen = ends > torch.arange(rows.start + 1, rows.stop + 1, device=q.device)[:, None]
        best = scores.masked_fill_(unseen, float("-inf")).sort(dim=-1, descending=True, stable=True)
        keys, hidden = best.indices[..., :count], best.values[..., :count] == float("-inf")
        beyond = (0, count - keys.shape[-1])
        found.append((torch.nn.functional.pad(keys, beyond), torch.nn.functional.pad(hidden, beyond, value=True)))
    return torch.cat([keys for keys, _ in found], 1), torch.cat([hidden for _, hidden in found], 1)


@choose_keys.register_fake
def _(q: Tensor, k: Tensor, weights: Tensor, count: int, rate: int) -> tuple[Tensor, Tensor]:
    index = q.new_empty(q.shape[0], q.shape[2], count, dtype=torch.int64)
    return index, torch.empty_like(index, dtype=torch.bool)


@torch.library.custom_op("attnprof::read_chosen", mutates_args=())
def read_chosen(q: Tensor, k: Tensor, v: Tensor, index: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
    """exp of scores with chosen keys times their values, normalised, and the logarithm of what it divides by.

    `q [b, n, h, d]` scaled, `k [b, m, g, d]`, `v [b, m, g, d_v]`; `index, hidden [b, n, c]`, one choice for all heads.
    A query all of whose choices are hidden gives 0.
    """
    parts = []
    for rows in _reading(k, v, index):
        scores, values = _scores(q[:, rows], k, index[:, rows], hidden[:, rows]), _taken(v, index[:, rows])
        sums = scores.logsumexp(-1, keepdim=True)
        weights = (scores - sums.clamp(min=torch.finfo(sums.dtype).min)).exp().to(v.dtype)
        parts.append(((weights @ values).flatten(2, 3), sums.flatten(2)))
    return torch.cat([mixed for mixed, _ in parts], 1), torch.cat([sums for _, sums in parts], 1)


@read_chosen.register_fake
def _(q: Tensor, k: Tensor, v: Tensor, index: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
    wide = torch.promote_types(q.dtype, torch.float32)
    return q.new_empty(*q.shape[:3], v.shape[-1]), q.new_empty(q.shape[:3], dtype=wide)


@torch.library.custom_op("attnprof::read_chosen_backward", mutates_args=())
def read_chosen_backward(
    grad: Tensor, of_sums: Tensor, q: Tensor, k: Tensor, v: Tensor, index: Tensor, hidden: Tensor, sums: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of queries, keys and values; the chosen ones are gathered, and scored, again."""
    queries, keys, values = [], torch.zeros_like(k), torch.zeros_like(v)
    for rows in _reading(k, v, index):
        at, groups = index[:, rows], k.shape[2]
        scores = _scores(q[:, rows], k, at, hidden[:, rows])
        norm = sums[:, rows].unflatten(2, (groups, -1))[..., None]
        weights = (scores - norm.clamp(min=torch.finfo(norm.dtype).min)).exp().to(v.dtype)
        outer = grad[:, rows].unflatten(2, (groups, -1))
        shares = outer @ _taken(v, at).transpose(-2, -1)
        mean = (weights * shares).sum(-1, keepdim=True) - of_sums[:, rows].unflatten(2, (groups, -1))[..., None]
        inner = weights * (shares - mean.to(v.dtype))
        queries.append((inner @ _taken(k, at)).flatten(2, 3))
        _add(keys, inner.transpose(-2, -1) @ q[:, rows].unflatten(2, (groups, -1)), at)
        _add(values, weights.transpose(-2, -1) @ outer, at)
    return torch.cat(queries, 1), keys, values


@read_chosen_backward.register_fake
def _(grad: Tensor, of_sums: Tensor, q: Tensor, k: Tensor, v: Tensor, *_: object) -> tuple[Tensor, Tensor, Tensor]:
    return torch.empty_like(q), torch.empty_like(k), torch.empty_like(v)


def _keep(ctx: FunctionContext, inputs: tuple[Tensor, ...], output: tuple[Tensor, Tensor]) -> None:
    ctx.save_for_backward(*inputs, output[1])


def _back(ctx: FunctionContext, grad: Tensor, of_sums: Tensor) -> tuple[Tensor | None, ...]:
    return *read_chosen_backward(grad, of_sums, *ctx.saved_tensors), None, None


read_chosen.register_autograd(_back, setup_context=_keep)


def _reading(k: Tensor, v: Tensor, index: Tensor) -> list[slice]:
    row = index.shape[0] * index.shape[2] * k.shape[2] * (k.shape[3] + v.shape[3])
    return stretches(index.shape[1], row)


def _scores(q: Tensor, k: Tensor, index: Tensor, hidden: Tensor) -> Tensor:
    """`[b, n, g, h / g, c]`, float32 at least, -inf where a choice is hidden."""
    scores = q.unflatten(2, (k.shape[2], -1)) @ _taken(k, index).transpose(-2, -1)
    scores = scores.to(torch.promote_types(scores.dtype, torch.float32))
    return scores.masked_fill_(hidden[:, :, None, None], float("-inf"))


def _taken(x: Tensor, index: Tensor) -> Tensor:
    """Rows `index [b, n, c]` of `x [b, m, g, d]`: `[b, n, g, c, d]`."""
    return x.flatten(0, 1).index_select(0, _flat(x, index)).view(*index.shape, *x.shape[2:]).transpose(2, 3)


def _add(total: Tensor, grad: Tensor, index: Tensor) -> None:
    """Add the gradient `[b, n, g, c, d]` of gathered rows to that of `x [b, m, g, d]`."""
    rows = grad.transpose(2, 3).flatten(0, 2).to(total.dtype)
    total.flatten(0, 1).index_add_(0, _flat(total, index), rows)


def _flat(x: Tensor, index: Tensor) -> Tensor:
    return (index + torch.arange(len(x), device=x.device)[:, None, None] * x.shape[1]).flatten()


CHOICE = torch.ops.attnprof.choose_keys
READING = torch.ops.attnprof.read_chosen
READING_BACKWARD = torch.ops.attnprof.read_chosen_backward
