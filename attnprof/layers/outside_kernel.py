"""A kernel of another package as a core; on fake tensors an operator stands for it, which says what it executes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from attnprof.contracts import Spec
from attnprof.errors import Unsupported
from attnprof.layers.edge_softmax import softmax_over_edges
from attnprof.layers.function_context import FunctionContext
from attnprof.layers.index_tables import counting
from attnprof.layers.softmax import softmax_attention
from attnprof.pattern import Band, Dense

Call = Callable[[Tensor, Tensor, Tensor], Tensor]
VALUES = 2  # their place among the streams


class KernelWork(NamedTuple):
    """What one forward of a kernel executes over the whole batch, and what its backward does, recomputation included.

    FLOPs of products, exponentials and other operations; `tile` names the tile that these figures assume.
    """

    flops: int
    backward_flops: int
    exp_ops: int
    arith_ops: int
    tile: str


def softmax_work(spec: Spec, pairs: int, tile: str) -> KernelWork:
    """That of a fused softmax over so many pairs a head: 4 d a pair forward, 10 d backward, one exponential each."""
    shape = spec.shape
    every = shape.batch * shape.heads * pairs
    return KernelWork(2 * (shape.d + shape.d_v) * every, (6 * shape.d + 4 * shape.d_v) * every, every, 4 * every, tile)


def band_pairs(spec: Spec) -> tuple[int, Band | None]:
    """Pairs of a head under a band, or of dense attention aligned at the last key, where there is no band.

    Raises `Unsupported` for any other pattern.
    """
    shape, pattern = spec.shape, spec.edges()
    expr = pattern.expr(spec.layer)
    if isinstance(expr, Band) and expr.dilation == 1 and pattern.heads == 1:
        return expr.slices(shape.n).edges, expr
    if not isinstance(expr, Dense):
        raise Unsupported(f"{spec.impl} computes dense attention, or one window for all heads", hint="--impl gather")
    rows, keys = shape.n, shape.keys
    return (rows * (keys - rows) + rows * (rows + 1) // 2 if shape.causal else rows * keys), None


class OutsideCore(nn.Module):
    """`q [b, h, n, d]`, `k, v [b, g, m, d]` by a kernel that takes and gives `[b, n, h, d]`."""

    def __init__(self, spec: Spec, call: Call, work: KernelWork, kernel: str) -> None:
        super().__init__()
        self.spec, self.call, self.work, self.kernel = spec, call, work, kernel

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        if counting():
            return outside((q, k, v), True, 0, self.kernel, *self.work)[0]
        return self.call(*(x.transpose(1, 2) for x in (q, k, v))).transpose(1, 2)

    def reference(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Softmax over the edges of the pattern; against other keys, dense: causal, query i reads j <= i + m - n."""
        if self.spec.shape.m is None:
            return softmax_over_edges(self.spec, q, k, v)
        i, j = (torch.arange(x.shape[2], device=q.device) for x in (q, k))
        return softmax_attention(q, k, v, j - i[:, None] <= len(j) - len(i) if self.spec.shape.causal else None)


@torch.library.custom_op("attnprof::outside", mutates_args=())
def outside(
    streams: Sequence[Tensor],
    softmax: bool,
    kept: int,
    kernel: str,
    flops: int,
    backward_flops: int,
    exp_ops: int,
    arith_ops: int,
    tile: str,
) -> tuple[Tensor, Tensor]:
    """Stands for a kernel's forward on q, k, v and gates: its output, and what it makes for its backward.

    That is row statistics `[b, h, n]` of a `softmax`, whose backward reads the output too, else `kept` numbers a row.
    """
    raise AssertionError("it stands for a kernel where tensors are fake")


@outside.register_fake
def _(streams: Sequence[Tensor], softmax: bool, kept: int, *_: object) -> tuple[Tensor, Tensor]:
    q, v = streams[0], streams[VALUES]
    out = q.new_empty(*q.shape[:3], v.shape[-1])
    return out, q.new_empty(q.shape[:3], dtype=torch.float32) if softmax else out.new_empty(*out.shape[:3], kept)


@torch.library.custom_op("attnprof::outside_backward", mutates_args=())
def outside_backward(
    grad: Tensor,
    streams: Sequence[Tensor],
    held: Sequence[Tensor],
    kernel: str,
    flops: int,
    exp_ops: int,
    arith_ops: int,
    tile: str,
) -> list[Tensor]:
    """Stands for its backward: the gradients of all streams."""
    raise AssertionError("it stands for a kernel where tensors are fake")


@outside_backward.register_fake
def _(grad: Tensor, streams: Sequence[Tensor], *_: object) -> list[Tensor]:
    return [torch.empty_like(x) for x in streams]


class _KernelContext(FunctionContext, Protocol):
    count: int
    work: tuple[str, int, int, int, str]


def _keep(ctx: _KernelContext, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    streams, softmax, _, kernel, _, flops, exp_ops, arith_ops, tile = inputs
    ctx.save_for_backward(*streams, *(output if softmax else output[1:]))
    ctx.count, ctx.work = len(streams), (kernel, flops, exp_ops, arith_ops, tile)


def _back(ctx: _KernelContext, grad: Tensor, _: Tensor) -> tuple[list[Tensor] | None, ...]:
    streams, held = ctx.saved_tensors[: ctx.count], ctx.saved_tensors[ctx.count :]
    return outside_backward(grad, streams, held, *ctx.work), *[None] * 8


outside.register_autograd(_back, setup_context=_keep)
OPERATORS = (torch.ops.attnprof.outside, torch.ops.attnprof.outside_backward)
