"""A linear recurrence by another package's kernel, on the streams that the scheme itself makes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from attnprof.contracts import Checked, Spec
from attnprof.errors import Unsupported
from attnprof.layers.function_context import FunctionContext
from attnprof.layers.index_tables import counting
from attnprof.layers.outside_kernel import Call, KernelWork, OutsideCore

Given = Callable[[Any, tuple[Tensor, ...]], tuple[Tensor, ...]]
After = Callable[[Any, Tensor, tuple[Tensor, ...]], Tensor]
VALUES = 2


@runtime_checkable
class MapsFeatures(Protocol):
    """A core whose queries and keys go through a feature map."""

    def phi(self, x: Tensor) -> Tensor:
        """`[..., d]` to `[..., m]`."""
        ...


class RecurrenceCore(OutsideCore):
    """`q [b, h, n, d]`, `k, v [b, g, n, d]`: features here, sums over the past there."""

    def __init__(self, spec: Spec, plain: nn.Module, call: Call, work: KernelWork, kernel: str) -> None:
        super().__init__(spec, call, work, kernel)
        if not isinstance(plain, MapsFeatures) or not isinstance(plain, Checked):
            raise Unsupported(f"{kernel} takes features of queries and keys, which {type(plain).__name__} has none of")
        self.phi, self.oracle = plain.phi, plain.reference

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        repeat = q.shape[1] // k.shape[1]
        k, v = (x.repeat_interleave(repeat, 1) if repeat > 1 else x for x in (k, v))
        return super().forward(self.phi(q), self.phi(k), v)

    def reference(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """That of the scheme's own maths."""
        return self.oracle(q, k, v)


class GatedCore(nn.Module):
    """The streams of a scheme's own core, as a kernel takes them: `given` makes q, k, v and gates, all of h heads.

    A gate of one number is `[b, n, h]` there. `after` makes the core's output of the kernel's; `kept`: numbers of a
    row and head that the kernel keeps for its backward beside what it is given.
    """

    def __init__(
        self,
        plain: nn.Module,
        call: Callable[..., Tensor],
        given: Given,
        after: After | None,
        work: KernelWork,
        kept: int,
        kernel: str,
    ) -> None:
        super().__init__()
        assert isinstance(plain, Checked), "a core that is written has its oracle"
        self.plain, self.oracle, self.kernel, self.work = plain, plain.reference, kernel, work
        self.call, self.given, self.after, self.kept = call, given, after, kept

    def forward(self, *streams: Tensor) -> Tensor:
        taken = self.given(self.plain, streams)
        heads = taken[VALUES].shape[1]
        taken = tuple(x.repeat_interleave(heads // x.shape[1], 1) if x.shape[1] < heads else x for x in taken)
        if counting():
            mixed = outside_recurrence(taken, self.kept, self.kernel, *self.work)[0]
        else:
            rows_first = (x.transpose(1, 2) for x in taken)
            mixed = self.call(*(x.squeeze(-1) if x.shape[-1] == 1 else x for x in rows_first)).transpose(1, 2)
        return mixed if self.after is None else self.after(self.plain, mixed, streams)

    def reference(self, *streams: Tensor) -> Tensor:
        """That of the scheme's own maths."""
        found = self.oracle(*streams)
        assert isinstance(found, Tensor)
        return found


@torch.library.custom_op("attnprof::outside_recurrence", mutates_args=())
def outside_recurrence(
    streams: Sequence[Tensor],
    kept: int,
    kernel: str,
    flops: int,
    backward_flops: int,
    exp_ops: int,
    arith_ops: int,
    tile: str,
) -> tuple[Tensor, Tensor]:
    """Stands for a kernel's forward: its output, like the values, and what it keeps for its backward."""
    raise AssertionError("it stands for a kernel where tensors are fake")


@outside_recurrence.register_fake
def _(streams: Sequence[Tensor], kept: int, *_: object) -> tuple[Tensor, Tensor]:
    v = streams[VALUES]
    return torch.empty_like(v), v.new_empty(*v.shape[:3], kept)


@torch.library.custom_op("attnprof::outside_recurrence_backward", mutates_args=())
def outside_recurrence_backward(
    grad: Tensor,
    streams: Sequence[Tensor],
    held: Tensor,
    kernel: str,
    flops: int,
    exp_ops: int,
    arith_ops: int,
    tile: str,
) -> list[Tensor]:
    """Stands for its backward: the gradients of all streams."""
    raise AssertionError("it stands for a kernel where tensors are fake")


@outside_recurrence_backward.register_fake
def _(grad: Tensor, streams: Sequence[Tensor], *_: object) -> list[Tensor]:
    return [torch.empty_like(x) for x in streams]


class _Context(FunctionContext, Protocol):
    work: tuple[str, int, int, int, str]


def _keep(ctx: _Context, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    streams, _, kernel, _, flops, exp_ops, arith_ops, tile = inputs
    ctx.save_for_backward(*streams, output[1])
    ctx.work = kernel, flops, exp_ops, arith_ops, tile


def _back(ctx: _Context, grad: Tensor, _: Tensor) -> tuple[list[Tensor] | None, ...]:
    *streams, held = ctx.saved_tensors
    return outside_recurrence_backward(grad, streams, held, *ctx.work), *[None] * 7


outside_recurrence.register_autograd(_back, setup_context=_keep)
OPERATORS = (torch.ops.attnprof.outside_recurrence, torch.ops.attnprof.outside_recurrence_backward)
