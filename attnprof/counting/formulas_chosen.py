"""Formulas of the operators that choose single keys and read them: the pairs of their stretches, gathers, sorts."""

from __future__ import annotations

from types import SimpleNamespace

from attnprof.counting.registry import OperatorWork, numel, register_by_name
from attnprof.layers.chosen_keys import CHOICE, READING, READING_BACKWARD, choice_pairs


@register_by_name(CHOICE)
def choice(given: SimpleNamespace, out: object) -> OperatorWork:
    """2 (d_I + 1) a pair and index head; every score is sorted."""
    batch, heads, n, width = given.q.shape
    pairs = batch * choice_pairs(batch, heads, n, given.rate)
    return OperatorWork(2 * heads * (width + 1) * pairs, 0, heads * pairs, pairs)


@register_by_name(READING)
def reading(given: SimpleNamespace, out: object) -> OperatorWork:
    """2 (d + d_v) a query head and choice, an exponential each; the keys and values are gathered."""
    pairs = numel(given.index.shape) * given.q.shape[2]
    widths = given.k.shape[-1] + given.v.shape[-1]
    gathered = numel(given.index.shape) * given.k.shape[2] * widths
    return OperatorWork(2 * widths * pairs, pairs, 4 * pairs, gathered)


@register_by_name(READING_BACKWARD)
def reading_backward(given: SimpleNamespace, out: object) -> OperatorWork:
    """6 d + 4 d_v a query head and choice: scores again, and two products for each of both; gathers, and sums back."""
    pairs = numel(given.index.shape) * given.q.shape[2]
    d, d_v = given.k.shape[-1], given.v.shape[-1]
    gathered = numel(given.index.shape) * given.k.shape[2] * (3 * d + 2 * d_v)
    return OperatorWork((6 * d + 4 * d_v) * pairs, pairs, 4 * pairs, gathered)
