"""Products of rows with the matrix of their group, whatever the precision: what experts are made of.

`_grouped_mm` of torch takes bfloat16 alone where tensors are fake, and no float64 at all; these two operators do what
it does, group after group, and have formulas.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from attnprof.layers.function_context import FunctionContext


@torch.library.custom_op("attnprof::grouped_rows", mutates_args=())
def grouped_rows(x: Tensor, weight: Tensor, ends: Tensor) -> Tensor:
    """`x [M, K]` in groups, of which group e ends before row `ends[e]`, times `weight [E, K, N]`: `[M, N]`."""
    out = x.new_empty(x.shape[0], weight.shape[2])
    for at, rows in _groups(ends):
        torch.mm(x[rows], weight[at], out=out[rows])
    return out


@grouped_rows.register_fake
def _(x: Tensor, weight: Tensor, ends: Tensor) -> Tensor:
    return x.new_empty(x.shape[0], weight.shape[2])


@torch.library.custom_op("attnprof::grouped_weights", mutates_args=())
def grouped_weights(x: Tensor, grad: Tensor, ends: Tensor) -> Tensor:
    """The gradient of the weights: `x[rows]^T grad[rows]` of each group, `[E, K, N]`."""
    out = x.new_zeros(ends.shape[0], x.shape[1], grad.shape[1])
    for at, rows in _groups(ends):
        torch.mm(x[rows].T, grad[rows], out=out[at])
    return out


@grouped_weights.register_fake
def _(x: Tensor, grad: Tensor, ends: Tensor) -> Tensor:
    return x.new_empty(ends.shape[0], x.shape[1], grad.shape[1])


def _groups(ends: Tensor) -> Iterator[tuple[int, slice]]:
    first = 0
    for at, last in enumerate(ends.tolist()):
        if last > first:
            yield at, slice(first, last)
        first = last


def _keep(ctx: FunctionContext, inputs: tuple[Tensor, Tensor, Tensor], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _back(ctx: FunctionContext, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
    x, weight, ends = ctx.saved_tensors
    needs_x, needs_weight, _ = ctx.needs_input_grad
    to_x = grouped_rows(grad, weight.transpose(1, 2), ends) if needs_x else None
    return to_x, grouped_weights(x, grad, ends) if needs_weight else None, None


grouped_rows.register_autograd(_back, setup_context=_keep)
ROWS, WEIGHTS = torch.ops.attnprof.grouped_rows, torch.ops.attnprof.grouped_weights
