"""alpha-entmax: a softmax with a threshold, p = [(alpha - 1) s - tau]_+^(1 / (alpha - 1)) (Correia et al. 2019)."""

from __future__ import annotations

import torch
from torch import Tensor

from attnprof.layers.function_context import FunctionContext

STEPS = 12


class Entmax(torch.autograd.Function):
    """Weights `[..., n]` of `scores [..., n]`; `alpha` broadcasts to `[..., 1]`, between 1 and 2, or None for 2.

    It keeps the weights alone for backward: what depends on the scores is in them.
    """

    @staticmethod
    def forward(ctx: FunctionContext, scores: Tensor, alpha: Tensor | None) -> Tensor:
        scaled = scores.to(torch.promote_types(scores.dtype, torch.float32))
        if alpha is not None:
            scaled = scaled * (alpha.to(scaled.dtype) - 1)
        power = None if alpha is None else 1 / (alpha.to(scaled.dtype) - 1)
        weights = above_threshold(scaled - scaled.amax(-1, keepdim=True), power)
        weights = weights.div_(weights.sum(-1, keepdim=True)).to(scores.dtype)
        ctx.save_for_backward(*((weights,) if alpha is None else (weights, alpha)))
        return weights

    @staticmethod
    def backward(ctx: FunctionContext, *grads: Tensor) -> tuple[Tensor, Tensor | None]:
        """Of the scores by p^(2 - alpha), of alpha by proposition 1 of Correia et al. 2019."""
        (grad,), (weights, *rest) = grads, ctx.saved_tensors
        alpha = rest[0] if rest else None
        slope = raised(weights, None if alpha is None else 2 - alpha)
        share = slope / slope.sum(-1, keepdim=True)
        centred = grad - (grad * share).sum(-1, keepdim=True)
        if alpha is None or not ctx.needs_input_grad[1]:
            return slope.mul_(centred), None
        shift = (grad * (weights - share)).sum(-1, keepdim=True) / (alpha - 1) ** 2
        turn = (centred * torch.xlogy(weights, weights)).sum(-1, keepdim=True) / (alpha - 1)
        return slope.mul_(centred), (shift - turn).sum_to_size(alpha.shape)


def above_threshold(scaled: Tensor, power: Tensor | None) -> Tensor:
    """[scaled - tau]_+^power with sum 1, of scores whose largest in a row is 0, so that tau is in [-1, 0).

    The norm ||[scaled - tau]_+||_power falls and is convex in tau: Newton's steps towards norm 1 go up from -1, never
    beyond it. Twelve leave nothing of a float64 in rows of 16k alike scores, the slowest. `power` is None for 1.
    """
    tau = torch.full_like(scaled[..., :1], -1.0)
    for _ in range(STEPS):
        over = (scaled - tau).clamp_(min=0)
        slope = raised(over, None if power is None else power - 1)
        falls = slope.sum(-1, keepdim=True)
        mass = over.mul_(slope).sum(-1, keepdim=True)
        if power is None:
            tau = tau + (mass - 1) / falls
        else:
            norm = mass ** (1 / power)
            tau = tau + (norm - 1) * norm ** (power - 1) / falls
    over = (scaled - tau).clamp_(min=0)
    return over if power is None else over**power


def raised(x: Tensor, power: Tensor | None) -> Tensor:
    """x^power, 0 where x is 0: for a power of 0, which None stands for, 1 where it is not."""
    return (x > 0).to(x.dtype) if power is None else x**power
