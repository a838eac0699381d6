"""Formulas of the operators that carry states from chunk to chunk."""

from __future__ import annotations

from types import SimpleNamespace

import torch
from torch import Tensor

from attnprof.counting.registry import OperatorWork, numel, register_by_name
from attnprof.layers import carry, rewriting

ours = torch.ops.attnprof
assert {*carry.PLAIN, *rewriting.PLAIN} <= set(dir(ours)), "they define the operators"


@register_by_name(ours.carried)
def carried(given: SimpleNamespace, out: Tensor) -> OperatorWork:
    """A multiplication and an addition an element of every state."""
    return OperatorWork(0, 0, 2 * numel(out.shape))


@register_by_name(ours.carried_back)
def carried_back(given: SimpleNamespace, out: object) -> OperatorWork:
    """The same backward, and a product and a sum for the gates."""
    return OperatorWork(0, 0, 4 * numel(given.states.shape))


@register_by_name(ours.corrected)
def corrected(given: SimpleNamespace, out: tuple[Tensor, Tensor]) -> OperatorWork:
    """Two products of C x d_k with d_v columns a chunk: what the keys read, and what is written."""
    states, _ = out
    return OperatorWork(4 * numel(given.reads.shape) * given.fresh.shape[-1], 0, 3 * numel(states.shape))


@register_by_name(ours.corrected_back)
def corrected_back(given: SimpleNamespace, out: object) -> OperatorWork:
    """Four such products: two for the states before, two for what was read and written."""
    return OperatorWork(8 * numel(given.reads.shape) * given.fixed.shape[-1], 0, 5 * numel(given.states.shape))


@register_by_name(ours.rewritten)
def rewritten(given: SimpleNamespace, out: object) -> OperatorWork:
    """Scores of every chunk on those before, and the queries that they rewrite."""
    *heads, chunks, rows, width = given.q.shape
    scores, turned = rewriting.rewriting_flops(chunks, rows, width)
    return OperatorWork(numel(heads) * (scores + turned), 0, 0)


@register_by_name(ours.rewritten_back)
def rewritten_back(given: SimpleNamespace, out: object) -> OperatorWork:
    """Twice the scores; of what rewrites queries once again, and twice."""
    *heads, chunks, rows, width = given.q.shape
    scores, turned = rewriting.rewriting_flops(chunks, rows, width)
    return OperatorWork(numel(heads) * (2 * scores + 3 * turned), 0, 0)
