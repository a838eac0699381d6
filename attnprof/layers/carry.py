"""States carried from chunk to chunk: the one part of a linear recurrence that goes step by step.

An operator each for what kernels of recurrences also do in one launch: n / C steps on states of d_k x d_v, everything
else of a chunk scan being batched products over all chunks. Autograd keeps the states, and walks back through them.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from attnprof.layers.function_context import FunctionContext

Two = tuple[Tensor, Tensor]


def carry(decay: Tensor, added: Tensor) -> Tensor:
    """S_(i+1) = decay_i * S_i + added_i from S_0 = 0: all the S_i, `[b, h, N + 1, d_k, d_v]`.

    `decay [b or 1, h, N or 1, d_k or 1, 1]`, `added [b, h, N, d_k, d_v]`.
    """
    steps, decay = added.shape[2], _each(decay, added.shape[2])
    states = added.new_zeros(*added.shape[:2], steps + 1, *added.shape[3:])
    for i in range(steps):
        torch.addcmul(added[:, :, i], states[:, :, i], decay[:, :, i], out=states[:, :, i + 1])
    return states


def correct(decay: Tensor, added: Tensor | None, reads: Tensor, writes: Tensor, fresh: Tensor) -> Two:
    """Y_i = fresh_i + reads_i S_i and S_(i+1) = decay_i * S_i + writes_i^T Y_i + added_i: the S_i, and the Y_i.

    `reads, writes [b, h, N, C, d_k]`, `fresh` and Y `[b, h, N, C, d_v]`; states have the dtype of `decay`.
    """
    steps, decay = fresh.shape[2], _each(decay, fresh.shape[2])
    size = (*fresh.shape[:2], steps + 1, reads.shape[4], fresh.shape[4])
    states, fixed = decay.new_zeros(size), torch.empty_like(fresh)
    for i in range(steps):
        state = states[:, :, i]
        made = torch.add(fresh[:, :, i], reads[:, :, i] @ state.to(reads.dtype), out=fixed[:, :, i])
        later = (writes[:, :, i].mT @ made).to(state.dtype)
        if added is not None:
            later = later + added[:, :, i]
        torch.addcmul(later, state, decay[:, :, i], out=states[:, :, i + 1])
    return states, fixed


def carry_back(decay: Tensor, states: Tensor, grad: Tensor) -> Two:
    """Gradients of `decay` and `added`, given those of the states."""
    steps, each = states.shape[2] - 1, _each(decay, states.shape[2] - 1)
    added, of_decay = states.new_empty(states[:, :, 1:].shape), decay.new_empty(*states.shape[:2], *each.shape[2:])
    after = grad[:, :, steps]
    for i in range(steps - 1, -1, -1):
        added[:, :, i] = after
        of_decay[:, :, i] = _summed(after * states[:, :, i], each)
        after = torch.addcmul(grad[:, :, i], after, each[:, :, i])
    return of_decay.sum_to_size(decay.shape), added


def correct_back(
    decay: Tensor, reads: Tensor, writes: Tensor, states: Tensor, fixed: Tensor, grad: Tensor, grad_fixed: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Gradients of `decay`, `added`, `reads`, `writes` and `fresh`, given those of the states and of Y."""
    steps, each = fixed.shape[2], _each(decay, fixed.shape[2])
    added, of_decay = states.new_empty(states[:, :, 1:].shape), decay.new_empty(*states.shape[:2], *each.shape[2:])
    fresh, after = torch.empty_like(fixed), grad[:, :, steps]
    for i in range(steps - 1, -1, -1):
        added[:, :, i] = after
        of_decay[:, :, i] = _summed(after * states[:, :, i], each)
        made = torch.add(grad_fixed[:, :, i], writes[:, :, i] @ after.to(writes.dtype), out=fresh[:, :, i])
        after = torch.addcmul(grad[:, :, i], after, each[:, :, i]).add_((reads[:, :, i].mT @ made).to(after.dtype))
    read, written = fresh @ states[:, :, :-1].mT.to(fresh.dtype), fixed @ added.mT.to(fixed.dtype)
    return of_decay.sum_to_size(decay.shape), added, read, written, fresh


def _summed(product: Tensor, each: Tensor) -> Tensor:
    """`[b, h, d_k, d_v]` summed to the rows of a decay, `[b, h, d_k or 1, 1]`."""
    return product.sum((-2, -1), keepdim=True) if each.shape[-2] == 1 else product.sum(-1, keepdim=True)


def _each(decay: Tensor, steps: int) -> Tensor:
    return decay.expand(-1, -1, steps, -1, -1)


carried = torch.library.custom_op("attnprof::carried", carry, mutates_args=())
carried_back = torch.library.custom_op("attnprof::carried_back", carry_back, mutates_args=())
corrected = torch.library.custom_op("attnprof::corrected", correct, mutates_args=())
corrected_back = torch.library.custom_op("attnprof::corrected_back", correct_back, mutates_args=())
# What each operator runs, for whoever counts a real run product by product.
PLAIN = {"carried": carry, "carried_back": carry_back, "corrected": correct, "corrected_back": correct_back}


@carried.register_fake
def _(decay: Tensor, added: Tensor) -> Tensor:
    return added.new_empty(*added.shape[:2], added.shape[2] + 1, *added.shape[3:])


@carried_back.register_fake
def _(decay: Tensor, states: Tensor, grad: Tensor) -> Two:
    return torch.empty_like(decay), states.new_empty(states[:, :, 1:].shape)


@corrected.register_fake
def _(decay: Tensor, added: Tensor | None, reads: Tensor, writes: Tensor, fresh: Tensor) -> Two:
    size = (*fresh.shape[:2], fresh.shape[2] + 1, reads.shape[4], fresh.shape[4])
    return decay.new_empty(size), torch.empty_like(fresh)


@corrected_back.register_fake
def _(
    decay: Tensor, reads: Tensor, writes: Tensor, states: Tensor, fixed: Tensor, grad: Tensor, grad_fixed: Tensor
) -> tuple[Tensor, ...]:
    added = states.new_empty(states[:, :, 1:].shape)
    return torch.empty_like(decay), added, torch.empty_like(reads), torch.empty_like(writes), torch.empty_like(fixed)


def _keep_carried(ctx: FunctionContext, inputs: Two, output: Tensor) -> None:
    ctx.save_for_backward(inputs[0], output)


def _back_carried(ctx: FunctionContext, grad: Tensor) -> Two:
    return carried_back(*ctx.saved_tensors, grad)


class _CorrectedContext(FunctionContext, Protocol):
    adds: bool


def _keep_corrected(ctx: _CorrectedContext, inputs: tuple[Tensor | None, ...], output: Two) -> None:
    decay, added, reads, writes, _ = inputs
    ctx.adds = added is not None
    ctx.save_for_backward(decay, reads, writes, *output)


def _back_corrected(ctx: _CorrectedContext, grad: Tensor, grad_fixed: Tensor) -> tuple[Tensor | None, ...]:
    decay, added, *rest = corrected_back(*ctx.saved_tensors, grad, grad_fixed)
    return decay, added if ctx.adds else None, *rest


carried.register_autograd(_back_carried, setup_context=_keep_carried)
corrected.register_autograd(_back_corrected, setup_context=_keep_corrected)
