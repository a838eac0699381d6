"""The work that the pattern asks for, edge by edge: what a scheme would execute if it wasted nothing."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import NamedTuple

from attnprof.contracts import SchemeTarget, Target
from attnprof.pattern import Drawn, Kernel, Pattern
from attnprof.records import JsonDict
from attnprof.shapes import Shape
from attnprof.words import Pass

BACKWARD = 2
OF_MODULE = "a module states no pattern: `attnprof graph` recovers the one that it has"
IN_STATE = "no edges between tokens: every pair is read at once, through sums of bounded rank"
IN_SLOTS = "no edges between tokens: they meet in slots"


class EdgeWork(NamedTuple):
    """Query-key pairs of all layers and heads, and the further products as wide as a key that their scores take."""

    pairs: int
    products: int | Fraction = 0


def useful_flops(target: Target, shape: Shape, pass_: Pass) -> tuple[int | None, str]:
    """`batch * sum over softmaxes, layers, heads of 2 (width of every score term + d_v) edges`; or why there is none.

    Three times that for `train`. A pair counts once for each softmax that reads it, and a score term that several
    pairs of a query share (a label) once. `decode` counts the pairs of the query that comes after n tokens.
    """
    if isinstance(target, SchemeTarget) and target.encodes(shape):
        return _encoder_and_decoder(target, shape, pass_)
    work, why = _work(target, shape, Pass(pass_))
    if work is None:
        return None, why
    widths = (shape.d + shape.d_v) * work.pairs + int(shape.d * work.products)
    flops = shape.batch * shape.repeats * 2 * widths
    return flops * (1 + BACKWARD) if pass_ == Pass.TRAIN else flops, ""


def recurrence_flops(target: Target, shape: Shape, pass_: Pass) -> int | None:
    """What a recurrence asks for, however it is cut into chunks: n of its steps, three times that for `train`.

    One step for `decode`, or one for each of the drafts; None of a target that is no recurrence.
    """
    step = target.flops_step(shape) if isinstance(target, SchemeTarget) and shape.causal else None
    if step is None:
        return None
    return (
        shape.drafts * step if pass_ is Pass.DECODE else shape.n * step * (1 + BACKWARD if pass_ is Pass.TRAIN else 1)
    )


def _encoder_and_decoder(target: Target, shape: Shape, pass_: Pass) -> tuple[int | None, str]:
    """The encoder over m tokens, the decoder over n, and between them n m pairs a layer and head."""
    source, why = useful_flops(target, shape.replace(n=shape.keys, m=None, causal=False), pass_)
    within, _ = useful_flops(target, shape.replace(m=None), pass_)
    if source is None or within is None:
        return None, why
    pairs = shape.batch * shape.repeats * target.layers * shape.heads * shape.n * shape.keys
    across = 2 * (shape.d + shape.d_v) * pairs
    return source + within + across * (1 + BACKWARD if pass_ == Pass.TRAIN else 1), ""


def _work(target: Target, shape: Shape, pass_: Pass) -> tuple[EdgeWork | None, str]:
    pattern = target.pattern(shape)
    if pattern is None and not isinstance(target, SchemeTarget):
        return None, OF_MODULE
    if pattern is None and isinstance(target, SchemeTarget):
        pattern = target.graph(shape)
        slots = all(target.pairs(shape, layer) is not None for layer in range(pattern.layers))
        if not slots or (pass_ is Pass.DECODE and not shape.causal):
            return None, without_edges(pattern)
    assert pattern is not None
    if pattern.bound:
        return None, pattern.bound
    if shape.keys != shape.n:
        return EdgeWork(shape.heads * target.layers * rectangle(shape)), ""
    return (next_rows(target, pattern, shape) if pass_ is Pass.DECODE else all_rows(target, pattern, shape)), ""


def without_edges(pattern: Pattern) -> str:
    """Why there is nothing to count: a kernel, or slots."""
    kernel = all(isinstance(pattern.expr(layer), Kernel) for layer in range(pattern.layers))
    return IN_STATE if kernel else IN_SLOTS


def rectangle(shape: Shape) -> int:
    """Edges of a head where keys and queries differ in number: all pairs, or, if causal, those of the last queries."""
    if not shape.causal:
        return shape.n * shape.keys
    return sum(min(max(i + 1 + shape.keys - shape.n, 0), shape.keys) for i in range(shape.n))


def all_rows(target: Target, pattern: Pattern, shape: Shape) -> EdgeWork:
    """Over all layer kinds and heads, remembered for the next pass of the same target at the same shape."""
    at = (id(target), shape)
    if _last.get("at") != at:
        _last.update(work=_counted(target, pattern, shape), at=at, target=target)
    return _last["work"]


_last: JsonDict = {}


def _counted(target: Target, pattern: Pattern, shape: Shape) -> EdgeWork:
    """By the closed counts of the target where it states them for its only softmax, else from the slices."""

    def work(layer: int, head: int) -> EdgeWork:
        if not isinstance(target, SchemeTarget):
            return EdgeWork(pattern.edges_sum(layer, head))
        stated = target.pairs(shape, layer, head)
        if stated is None and len(pattern.expr(layer, head).terms()) == 1:
            stated = target.edges(shape, layer, head)
        pairs = pattern.edges_sum(layer, head) if stated is None else stated
        return EdgeWork(pairs, target.score_products(shape, layer, head))

    return _over_heads(pattern, shape, work)


def next_rows(target: Target, pattern: Pattern, shape: Shape) -> EdgeWork:
    """Of the query after n tokens, or of all the drafts, own keys included; of the last of n where it is not known."""
    rows = [next_row(target, pattern, shape, before) for before in range(shape.drafts)]
    return EdgeWork(sum(row.pairs for row in rows), sum(row.products for row in rows))


def next_row(target: Target, pattern: Pattern, shape: Shape, before: int = 0) -> EdgeWork:
    """Of the query after n tokens and so many drafts before it."""
    known = target if isinstance(target, SchemeTarget) else None
    pattern = pattern if known is None else known.graph(shape, later=before + 1)

    def work(layer: int, head: int) -> EdgeWork:
        terms = pattern.expr(layer, head).terms()
        pairs = row_of(known, shape, layer, head, before, drawn=len(terms) == 1 and isinstance(terms[0], Drawn))
        if pairs is None:
            pairs = sum(term.reader(pattern.n)(pattern.n - 1, pattern.n).edges for term in terms)
        if known is None:
            return EdgeWork(pairs)
        products = [known.score_products(shape, layer, head, before + more) for more in (0, 1)]
        return EdgeWork(pairs, products[1] - products[0])

    return _over_heads(pattern, shape, work)


def row_of(target: SchemeTarget | None, shape: Shape, layer: int, head: int, before: int, *, drawn: bool) -> int | None:
    """What one token more adds to the pairs that a causal scheme states; of `drawn` edges, to those; None without.

    Where data decide about the edges, a draw of them is no count.
    """
    if target is None or not shape.causal:
        return None
    if (found := target.pairs_step(shape.replace(n=shape.n + before), layer, head)) is not None:
        return found
    stated = target.edges if drawn and target.pairs(shape, layer, head) is None else target.pairs
    without, after = (stated(shape, layer, head, before + more) for more in (0, 1))
    return None if without is None or after is None else after - without


def _over_heads(pattern: Pattern, shape: Shape, work: Callable[[int, int], EdgeWork]) -> EdgeWork:
    kinds = min(pattern.heads, shape.heads)
    pairs: int = 0
    products: int | Fraction = 0
    for layer in range(pattern.layers):
        for kind in range(kinds):
            times = len(range(kind, shape.heads, kinds))
            one = work(layer, kind)
            pairs, products = pairs + times * one.pairs, products + times * one.products
    return EdgeWork(pairs, products)
