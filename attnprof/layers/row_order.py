"""Rows of a sequence put in another order, one for each head: gathers whose gradients are gathers or sums again."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from attnprof.layers.function_context import FunctionContext


def rows(x: Tensor, index: Tensor) -> Tensor:
    """The rows `index [b, h, k]` of `x [b, h, n, d]`: `[b, h, k, d]`."""
    flat = index + torch.arange(index.shape[0] * index.shape[1], device=x.device).view(*index.shape[:2], 1) * x.shape[2]
    return x.flatten(0, 2).index_select(0, flat.flatten()).view(*index.shape, x.shape[-1])


def picked(x: Tensor, index: Tensor) -> Tensor:
    """`rows`, named for a selection with repetitions: `index [b, h, ..., k]` gives `[b, h, ..., k, d]`."""
    return rows(x, index.flatten(2)).unflatten(2, index.shape[2:])


def put_back(x: Tensor, index: Tensor, n: int) -> Tensor:
    """Sums of the rows `x [b, h, ..., k, d]` that `index [b, h, ..., k]` sends to the same place: `[b, h, n, d]`."""
    place = index.flatten(2)
    place = place + torch.arange(place.shape[0] * place.shape[1], device=x.device).view(*place.shape[:2], 1) * n
    total = x.new_zeros(place.shape[0] * place.shape[1] * n, x.shape[-1])
    return total.index_add(0, place.flatten(), x.flatten(0, -2)).view(*place.shape[:2], n, -1)


class _Ordered(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionContext, x: Tensor, order: Tensor, back: Tensor) -> Tensor:
        ctx.save_for_backward(back)
        return rows(x, order.flatten(2)).unflatten(2, order.shape[2:])

    @staticmethod
    def backward(ctx: FunctionContext, *grads: Tensor) -> tuple[Tensor, None, None]:
        (back,) = ctx.saved_tensors
        return rows(grads[0].flatten(2, 3), back.flatten(2)).unflatten(2, back.shape[2:]).sum(2), None, None


class _Restored(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionContext, x: Tensor, order: Tensor, back: Tensor) -> Tensor:
        ctx.save_for_backward(order)
        return rows(x.flatten(2, 3), back.flatten(2)).unflatten(2, back.shape[2:])

    @staticmethod
    def backward(ctx: FunctionContext, *grads: Tensor) -> tuple[Tensor, None, None]:
        (order,) = ctx.saved_tensors
        grad = F.pad(grads[0], (0, 0, 0, order.shape[3] - grads[0].shape[3]))
        offset = torch.arange(order.shape[2], device=order.device)[:, None] * order.shape[3]
        return rows(grad.flatten(2, 3), (order + offset).flatten(2)).unflatten(2, order.shape[2:]), None, None


class _Arranged(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionContext, x: Tensor, there: Tensor, back: Tensor) -> Tensor:
        ctx.save_for_backward(back)
        return _selected(x, there, len(there) > len(back))

    @staticmethod
    def backward(ctx: FunctionContext, *grads: Tensor) -> tuple[Tensor, None, None]:
        (back,) = ctx.saved_tensors
        return _selected(grads[0], back, len(back) > grads[0].shape[2]), None, None


def _selected(x: Tensor, index: Tensor, padded: bool) -> Tensor:
    return (F.pad(x, (0, 0, 0, 1)) if padded else x).index_select(2, index)


def arranged(x: Tensor, there: Tensor, back: Tensor) -> Tensor:
    """Rows of `x [b, h, n, d]` in a fixed order `there [m]`, `[b, h, m, d]`; `back [n]` is the place of each row in it.

    For m > n the index n in `there` stands for a row of zeros. `arranged(x, back, there)` is the way back.
    """
    return _Arranged.apply(x, there, back)  # type: ignore[no-any-return]


def ordered(x: Tensor, order: Tensor, back: Tensor) -> Tensor:
    """`x [b, h, n, d]` in each order of `order [b, h, r, n]`: `[b, h, r, n, d]`; `back` is `inverse(order)`."""
    return _Ordered.apply(x, order, back)  # type: ignore[no-any-return]


def restored(x: Tensor, order: Tensor, back: Tensor) -> Tensor:
    """What `ordered` gave, `[b, h, r, n, e]`, with the rows of each order in their places again.

    With `back` cut to the first rows of the sequence, only those: the others are padding.
    """
    return _Restored.apply(x, order, back)  # type: ignore[no-any-return]


def inverse(order: Tensor) -> Tensor:
    """For permutations `[b, h, r, n]` the place of row i of order r in the r * n rows of all of them."""
    rounds, length = order.shape[-2:]
    place = torch.arange(rounds * length, device=order.device).view(rounds, length).expand_as(order)
    return torch.empty_like(order).scatter_(-1, order, place)
