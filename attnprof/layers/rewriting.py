"""Scores of queries that every chunk on the way to a key rewrites: an operator, as it goes from chunk to chunk.

A_ij = q_i (I - H_(i-1)) ... (I - H_(j+1)) k_j^T for chunks j < i, of all later queries at once (Yang et al. 2025).
"""

from __future__ import annotations

import torch
from torch import Tensor

from attnprof.layers.function_context import FunctionContext

Four = tuple[Tensor, Tensor, Tensor, Tensor]


def rewrite(q: Tensor, k: Tensor, h: Tensor, own: Tensor) -> Tensor:
    """`q, k [b, h, N, C, d]`, `h [b, h, N, d, d]`, scores of the own chunk `[b, h, N, C, C]`: `[b, h, N, C, N, C]`."""
    chunks, rows = q.shape[2:4]
    scores, q = q.new_zeros(*q.shape[:4], chunks, rows), q.clone()
    scores.diagonal(dim1=2, dim2=4).copy_(own.movedim(2, -1))
    for j in range(chunks - 2, -1, -1):
        later = q[:, :, j + 1 :].flatten(2, 3)
        scores[:, :, j + 1 :, :, j] = (later @ k[:, :, j].mT).unflatten(2, (-1, rows))
        if j:
            q[:, :, j + 1 :] = (later - later @ h[:, :, j]).unflatten(2, (-1, rows))
    return scores


def rewrite_back(q: Tensor, k: Tensor, h: Tensor, grad: Tensor) -> Four:
    """Gradients of `q`, `k`, `h` and `own`, given those of the scores; what queries were on the way is made again."""
    chunks, rows = q.shape[2:4]
    stages, q = [], q.clone()
    for j in range(chunks - 2, -1, -1):
        later = q[:, :, j + 1 :].flatten(2, 3).clone()
        stages.append(later)
        if j:
            q[:, :, j + 1 :] = (later - later @ h[:, :, j]).unflatten(2, (-1, rows))
    of_q, of_k, of_h = torch.zeros_like(q), torch.zeros_like(k), torch.zeros_like(h)
    for j, later in enumerate(reversed(stages)):
        read, after = grad[:, :, j + 1 :, :, j].flatten(2, 3), of_q[:, :, j + 1 :].flatten(2, 3)
        of_k[:, :, j] = read.mT @ later
        before = read @ k[:, :, j]
        if j:
            of_h[:, :, j] = -(later.mT @ after)
            before = before + after - after @ h[:, :, j].mT
        of_q[:, :, j + 1 :] = before.unflatten(2, (-1, rows))
    return of_q, of_k, of_h, grad.diagonal(dim1=2, dim2=4).movedim(-1, 2).clone()


rewritten = torch.library.custom_op("attnprof::rewritten", rewrite, mutates_args=())
rewritten_back = torch.library.custom_op("attnprof::rewritten_back", rewrite_back, mutates_args=())
PLAIN = {"rewritten": rewrite, "rewritten_back": rewrite_back}


@rewritten.register_fake
def _(q: Tensor, k: Tensor, h: Tensor, own: Tensor) -> Tensor:
    return q.new_empty(*q.shape[:4], *q.shape[2:4])


@rewritten_back.register_fake
def _(q: Tensor, k: Tensor, h: Tensor, grad: Tensor) -> Four:
    own = q.new_empty(*q.shape[:4], q.shape[3])
    return q.new_empty(q.shape), k.new_empty(k.shape), h.new_empty(h.shape), own


def _keep(ctx: FunctionContext, inputs: Four, output: Tensor) -> None:
    ctx.save_for_backward(*inputs[:3])


def _back(ctx: FunctionContext, grad: Tensor) -> Four:
    return rewritten_back(*ctx.saved_tensors, grad)


rewritten.register_autograd(_back, setup_context=_keep)


def rewriting_flops(chunks: int, rows: int, width: int) -> tuple[int, int]:
    """Of one head: scores of every chunk on those before it, 2 C^2 d, and what each of them rewrites, 2 C d^2."""
    scored, turned = chunks * (chunks - 1) // 2, (chunks - 1) * (chunks - 2) // 2
    return scored * 2 * rows * rows * width, turned * 2 * rows * width * width
