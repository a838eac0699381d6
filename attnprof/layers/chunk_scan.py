"""Linear recurrences by chunks, one form for all: S_t = (diag(e^g_t) + b_t a_t^T) S_(t-1) + k_t v_t^T, o_t = q_t S_t.

Streams come in chunks, `[b, h, N, C, d]`, C a power of two; log gates g are `[.., C, 1]` or, one a channel,
`[.., C, d_k]`. No exponent is positive and none is a difference of two sums, so any gate is safe at any length: within
a chunk a weight spans from the key to the query, by pairs of blocks that meet between the two. Between chunks
`carry` takes the state on. A ragged end is zeros, also of g: it forgets nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from attnprof.layers import carry
from attnprof.layers.scan import chunked


def chunk_size(chunk: int, n: int) -> int:
    """The power of two that a chunk of that many of n tokens is rounded up to."""
    return 1 << (min(chunk, max(n, 1)) - 1).bit_length()


def in_chunks(chunk: int, *streams: Tensor) -> list[Tensor]:
    """Streams `[b, h, n, d]` in chunks; those of one row, the same for all tokens, in one."""
    size = chunk_size(chunk, streams[0].shape[2])
    return [chunked(x, size) for x in streams]


def wide(x: Tensor) -> Tensor:
    """In the dtype of states, exponents and long sums: float32, or float64 for float64."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def summed_logs(g: Tensor) -> tuple[Tensor, Tensor]:
    """Of log gates `[.., C, e]`: sums from the first row to each, itself included, and from after each to the last."""
    later = torch.cat([g[..., 1:, :], torch.zeros_like(g[..., :1, :])], -2)
    return g.cumsum(-2), later.flip(-2).cumsum(-2).flip(-2)


class Reads(NamedTuple):
    """Rows `[.., C, d]` that read keys: `inclusive`, their own gate lies between them and a key, and they read
    their own key.
    """

    x: Tensor
    inclusive: bool


class FadedPairs(NamedTuple):
    """Weights `[.., C, C]` of rows on columns; the rows, faded from where the chunk begins, and the columns, to where
    it ends, `[.., C, d]`; and what of the state is left there, `[.., d, 1]`, wide.
    """

    weights: list[list[Tensor]]
    rows: list[Tensor]
    columns: list[Tensor]
    left: Tensor


def pair_weights(rows: Sequence[Reads], columns: Sequence[Tensor], g: Tensor) -> FadedPairs:
    """For all of the rows and columns `[.., C, d]` the sums over channels of x_i y_j e^(g between).

    Of j < i, and with j = i where the rows are inclusive. Blocks of 1, 2, 4, ... rows join: what
    the second of two reads of the first fades from each key to where they meet, and from there to each row. In float32
    at least up to the sums, which alone are rounded: a row whose few channels cancel would magnify every rounding.
    Kinds stand side by side, `[.., C, kinds, d]`: one product for all of them, and blocks of rows are views.
    """
    dtype, left = columns[0].dtype, wide(g).exp()
    plain, ys = [wide(row.x) for row in rows], [wide(y) for y in columns]
    own = [[_own(x, y, row.inclusive) for y in ys] for x, row in zip(plain, rows, strict=True)]
    x = _side_by_side([x * left if row.inclusive else x for x, row in zip(plain, rows, strict=True)])
    y, left, found = _side_by_side(ys), left.unsqueeze(-2), torch.stack([torch.stack(each, -1) for each in own], -2)
    while left.shape[-3] > 1:
        found = _joined(found, _products(_halves(x)[1], _halves(y)[0].mT))
        first, second = _halves(left)
        x, y = _faded(x, torch.ones_like(first), first), _faded(y, second, torch.ones_like(second))
        left = first * second
    found = found.squeeze(-3).to(dtype).unflatten(-1, (-1, len(ys))).unflatten(-3, (-1, len(plain)))
    weights = [list(of_row.unbind(-1)) for of_row in found.unbind(-3)]
    faded_rows, faded_columns = _apart(x.to(dtype), len(plain)), _apart(y.to(dtype), len(ys))
    return FadedPairs(weights, faded_rows, faded_columns, left.squeeze(-3).mT)


class Fades(NamedTuple):
    """e^(g_(j+1) + ... + g_i) for j <= i, else 0, `[.., C, C]`; what is left at each row of what was before the chunk,
    and at its end of each row, `[.., C, 1]`; and of the one at the other, `[.., 1, 1]`.
    """

    between: Tensor
    since: Tensor
    until: Tensor
    left: Tensor


def fades(g: Tensor) -> Fades:
    """Of log gates `g [.., C, 1]`, in float32 at least (Dao and Gu 2024, listing 1, by products)."""
    rows = g.shape[-2]
    g = F.pad(g, (0, 0, 0, (1 << (rows - 1).bit_length()) - rows))  # what follows forgets nothing
    one = torch.ones_like(g)
    ((between,),), (since,), (until,), left = pair_weights([Reads(one, True)], [one], g)
    return Fades(between[..., :rows, :rows], since[..., :rows, :], until[..., :rows, :], left)


def _products(x: Tensor, y: Tensor) -> Tensor:
    return x @ y if y.shape[-2] > 1 else x * y


def _own(x: Tensor, y: Tensor, read: bool) -> Tensor:
    """Each row's own key, read or not, `[.., C]`."""
    return (x * y).sum(-1) if read else x.new_zeros(x.shape[:-1])


def _side_by_side(kinds: Sequence[Tensor]) -> Tensor:
    """Rows `[.., C, d]` of several kinds as blocks of one row, `[.., C, kinds, d]`."""
    return torch.stack(tuple(kinds), -2) if len(kinds) > 1 else kinds[0].unsqueeze(-2)


def _apart(blocks: Tensor, kinds: int) -> list[Tensor]:
    """One block of all rows `[.., 1, C kinds, d]` as the kinds."""
    return list(blocks.squeeze(-3).unflatten(-2, (-1, kinds)).unbind(-2))


def _halves(x: Tensor) -> tuple[Tensor, Tensor]:
    """`[.., 2 N, s, d]` as the first and the second of each pair, `[.., N, s, d]`."""
    pairs = x.unflatten(-3, (-1, 2))
    return pairs[..., 0, :, :], pairs[..., 1, :, :]


def _faded(x: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """Blocks `[.., 2 N, s, d]` as pairs `[.., N, 2 s, d]`, the two of each times factors `[.., N, 1, d]`."""
    return (x.unflatten(-3, (-1, 2)) * torch.stack([first, second], -3)).flatten(-3, -2)


def _joined(blocks: Tensor, across: Tensor) -> Tensor:
    """Blocks `[.., 2 N, s, t]` on the diagonal and `[.., N, s, t]` below it as `[.., N, 2 s, 2 t]`."""
    first, second = _halves(blocks)
    return torch.cat([torch.cat([first, torch.zeros_like(across)], -1), torch.cat([across, second], -1)], -2)


def decayed(q: Tensor, k: Tensor, v: Tensor, g: Tensor, own: Tensor | None = None) -> Tensor:
    """No rank-one term: `q, k [b, g, N, C, d_k]` of as many or fewer heads, `v [b, h, N, C, d_v]`, to its shape.

    `own [b, h, N, C]`: what a token weighs for itself, where that is not q_i k_i.
    """
    if g.shape[-1] > 1:
        ((weights,),), (q,), (k,), left = pair_weights([Reads(q, True)], [k], g)
        since, states = None, carry.carried(left, wide(k.mT @ v))
    else:  # what is narrower fades: values and outputs, which differ also where heads share keys
        between, since, until, left = fades(g)
        weights = _of_groups(q @ k.mT, between.to(q.dtype))
        states = carry.carried(left, wide(_grouped(k.mT, v * until.to(v.dtype))))
    if own is not None:
        weights = weights.diagonal_scatter(own, 0, -2, -1)
    near, read = weights @ v, _grouped(q, states[:, :, :-1].to(q.dtype))
    return near.add_(read) if since is None else near.addcmul_(read, since.to(read.dtype))


class Delta(NamedTuple):
    """What a delta rule's states are made of (see `carry.correct`), weights of q on k, and q for what was before."""

    reads: Tensor
    writes: Tensor
    fresh: Tensor
    decay: Tensor
    weights: Tensor
    q: Tensor


def delta_terms(q: Tensor, k: Tensor, v: Tensor, beta: Tensor, g: Tensor) -> Delta:
    """S <- e^g S, then S <- S + beta k (v - k S): the corrections of a chunk by substitution (Yang et al. 2024).

    `q, k [b, g, N, C, d_k]` of as many or fewer heads, `v [b, h, N, C, d_v]`, `beta [b, h, N, C, 1]`. Queries may be
    fewer, C / r: they read after every r-th correction.
    """
    if g.shape[-1] == 1:
        *factors, left = fades(g)
        between, since, until = (x.to(k.dtype) for x in factors)
        size, every = k.shape[-2], k.shape[-2] // q.shape[-2]
        own, weights = (torch.cat([k, q], -2) @ k.mT).split([size, size // every], -2)
        own, weights = _of_groups(own, between), _of_groups(weights, between[..., every - 1 :: every, :])
        q, read = _of_groups(q, since[..., every - 1 :: every, :]), _of_groups(k, since)
        written = _of_groups(k, until)
    else:
        ((own,), (weights,)), (read, q), (written,), left = pair_weights([Reads(k, True), Reads(q, True)], [k], g)
    solved = substituted(beta * own, beta * torch.cat([read, v], -1))
    reads, fresh = solved.split([k.shape[-1], v.shape[-1]], -1)
    return Delta(-reads, written, fresh, left, weights, q)


def corrected(q: Tensor, k: Tensor, v: Tensor, beta: Tensor, g: Tensor) -> Tensor:
    """The delta rule, with gates: the streams of `delta_terms` to `[b, h, N, C, d_v]`."""
    made = delta_terms(q, k, v, beta, g)
    states, fixed = carry.corrected(made.decay, None, made.reads, made.writes, made.fresh)
    return made.weights @ fixed + made.q @ states[:, :, :-1].to(q.dtype)


def delta_state(k: Tensor, v: Tensor, beta: Tensor, g: Tensor) -> Tensor:
    """The state `[b, h, d_k, d_v]` after all chunks."""
    made = delta_terms(k, k, v, beta, g)
    return carry.corrected(made.decay, None, made.reads, made.writes, made.fresh)[0][:, :, -1]


class Dplr(NamedTuple):
    """What `carry.corrected` takes, weights of q on k and on b, and q for what was before."""

    carried: tuple[Tensor, Tensor, Tensor, Tensor, Tensor]
    on_k: Tensor
    on_b: Tensor
    q: Tensor


def dplr_terms(q: Tensor, k: Tensor, v: Tensor, a: Tensor, b: Tensor, g: Tensor) -> Dplr:
    """S_t = (diag(e^g_t) + b_t a_t^T) S_(t-1) + k_t v_t^T: all of `[b, h, N, C, d]`.

    A correction reads what was before its own gate: rows of `a` do not fade by it.
    """
    weights, (q, a), (k, b), left = pair_weights([Reads(q, True), Reads(a, False)], [k, b], g)
    (on_k, on_b), (reads_k, reads_b) = weights
    solved = substituted(-reads_b, torch.cat([a, reads_k @ v], -1))
    reads, fresh = solved.split([k.shape[-1], v.shape[-1]], -1)
    return Dplr((left, wide(k.mT @ v), reads, b, fresh), on_k, on_b, q)


def dplr(q: Tensor, k: Tensor, v: Tensor, a: Tensor, b: Tensor, g: Tensor) -> Tensor:
    """The recurrence of `dplr_terms`, to the shape of v."""
    made = dplr_terms(q, k, v, a, b, g)
    states, fixed = carry.corrected(*made.carried)
    return made.on_k @ v + made.on_b @ fixed + made.q @ states[:, :, :-1].to(q.dtype)


def substituted(below: Tensor, right: Tensor) -> Tensor:
    """(I + A)^-1 B for what of A lies below the diagonal, `[.., C, C]`, in float32 at least: C^2 FLOPs a column."""
    solved = torch.linalg.solve_triangular(wide(below), wide(right), upper=False, unitriangular=True)
    return solved.to(right.dtype)


def _of_groups(x: Tensor, by: Tensor) -> Tensor:
    """`x [b, g, ..]` times `by [b, h, ..]`, heads in groups of x: a product with none of x's rows copied."""
    times = by.shape[1] // x.shape[1]
    return (x.unsqueeze(2) * by.unflatten(1, (-1, times))).flatten(1, 2) if times > 1 else x * by


def _grouped(x: Tensor, y: Tensor) -> Tensor:
    """`x [b, g, N, r, s]` on `y [b, h, N, s, t]`: the heads of a group side by side in one product."""
    times = y.shape[1] // x.shape[1]
    if times == 1:
        return x @ y
    beside = y.unflatten(1, (-1, times)).movedim(2, -2).flatten(-2)
    return (x @ beside).unflatten(-1, (times, -1)).movedim(-2, 2).flatten(1, 2)
