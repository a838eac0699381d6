"""Queries that read tokens of their own choice: stretch by stretch of rows, so that nothing grows as n times n.

What a stretch gathers is bounded by a budget of numbers, which decides how many rows it has; a long sequence therefore
takes more calls and not more memory.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

BUDGET = 1 << 27  # numbers that one stretch holds at once


def stretches(n: int, numbers_a_row: int) -> list[slice]:
    """Rows 0 to n in stretches of equal length, a power of two, within the budget."""
    most = max(BUDGET // max(numbers_a_row, 1), 1)
    rows = min(1 << (most.bit_length() - 1), n)
    return [slice(first, min(first + rows, n)) for first in range(0, n, rows)]


class _Chosen(torch.autograd.Function):
    """softmax(q k^T) v over chosen keys, which are gathered again in the backward and not kept.

    `q [b, n, h, d]` scaled, `k [b, m, g, d]`, `v [b, m, g, d_v]`, `index, hidden [b, n, c]`: which of m.
    """

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, index: Tensor, hidden: Tensor) -> Tensor:
        weights, _, values = _weights(q, k, v, index, hidden)
        ctx.save_for_backward(q, k, v, index, hidden)
        return (weights @ values).flatten(2, 3)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, index, hidden = ctx.saved_tensors
        weights, keys, values = _weights(q, k, v, index, hidden)
        grad = grads[0].unflatten(2, (k.shape[2], -1))
        of_values = weights.transpose(-2, -1) @ grad
        shares = grad @ values.transpose(-2, -1)
        scores = weights * (shares - (weights * shares).sum(-1, keepdim=True))
        of_keys = scores.transpose(-2, -1) @ q.unflatten(2, (k.shape[2], -1))
        return (scores @ keys).flatten(2, 3), _scattered(of_keys, k, index), _scattered(of_values, v, index), None, None


def _weights(q: Tensor, k: Tensor, v: Tensor, index: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Weights `[b, n, g, h / g, c]`, and the chosen keys and values `[b, n, g, c, d]`."""
    keys, values = (gathered(x.flatten(2), index).unflatten(-1, x.shape[2:]).transpose(2, 3) for x in (k, v))
    scores = q.unflatten(2, (k.shape[2], -1)) @ keys.transpose(-2, -1)
    return scores.masked_fill_(hidden[:, :, None, None], float("-inf")).softmax(-1), keys, values


def gathered(x: Tensor, index: Tensor) -> Tensor:
    """Rows `index [b, n, c]` of `x [b, m, e]`: `[b, n, c, e]`."""
    flat = index + torch.arange(len(x), device=x.device)[:, None, None] * x.shape[1]
    return x.flatten(0, 1).index_select(0, flat.flatten()).view(*index.shape, x.shape[-1])


def _scattered(grad: Tensor, x: Tensor, index: Tensor) -> Tensor:
    """The gradient `[b, n, g, c, d]` of gathered rows as that of `x [b, m, g, d]`."""
    flat = index + torch.arange(len(x), device=x.device)[:, None, None] * x.shape[1]
    rows = grad.transpose(2, 3).flatten(3).flatten(0, 2)
    return x.new_zeros(x.shape[0] * x.shape[1], rows.shape[-1]).index_add_(0, flat.flatten(), rows).view_as(x)


def attend_chosen(q: Tensor, k: Tensor, v: Tensor, index: Tensor, hidden: Tensor) -> Tensor:
    """One stretch: `q [b, h, n, d]` scaled, `k, v [b, g, m, d]`, `index [b, n, c]` for all heads: `[b, h, n, d]`."""
    streams = (x.transpose(1, 2) for x in (q, k, v))
    return _Chosen.apply(*streams, index, hidden).transpose(1, 2)  # type: ignore[no-any-return]
