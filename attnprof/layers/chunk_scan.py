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


def fading(g: Tensor) -> Tensor:
    """exp(g_(j+1) + ... + g_i) for j <= i, else 0: `g [.., C, 1]` to `[.., C, C]` (Dao and Gu 2024, listing 1)."""
    size = g.shape[-2]
    sums = g.expand(*g.shape[:-1], size).tril(-1).cumsum(-2)
    return sums.masked_fill(torch.ones(size, size, dtype=torch.bool, device=g.device).triu(1), float("-inf")).exp()


class Reads(NamedTuple):
    """Rows `[.., C, d]` that read keys: `inclusive`, their own gate lies between them and a key, and they read
    their own key.
    """

    x: Tensor
    inclusive: bool


def pair_weights(rows: Sequence[Reads], columns: Sequence[Tensor], g: Tensor) -> list[list[Tensor]]:
    """For all of the rows and columns `[.., C, d]` the sums over channels of x_i y_j e^(g between), `[.., C, C]`.

    Of j < i, and with j = i where the rows are inclusive. Blocks of 1, 2, 4, ... rows join: what
    the second of two reads of the first fades from each key to where they meet, and from there to each row. In float32
    at least up to the sums, which alone are rounded: a row whose few channels cancel would magnify every rounding.
    """
    size, single, dtype = g.shape[-2], g.unsqueeze(-2), columns[0].dtype
    rows, columns = [Reads(wide(row.x), row.inclusive) for row in rows], [wide(y) for y in columns]
    found = [[_own(row, y) for y in columns] for row in rows]
    xs, ys = [row.x.unsqueeze(-2) for row in rows], [y.unsqueeze(-2) for y in columns]
    since = [single if row.inclusive else torch.zeros_like(single) for row in rows]
    until, total = torch.zeros_like(single), single
    width = 1
    while width < size:
        first, second = _halves(until)
        total_first, total_second = _halves(total)
        read = [_halves(x)[1] * _halves(s)[1].exp().to(x.dtype) for x, s in zip(xs, since, strict=True)]
        kept = [_halves(y)[0] * first.exp().to(y.dtype) for y in ys]
        found = [
            [_joined(w, r @ k.mT) for w, k in zip(row, kept, strict=True)] for row, r in zip(found, read, strict=True)
        ]
        since = [torch.cat([_halves(s)[0], _halves(s)[1] + total_first], -2) for s in since]
        until, total = torch.cat([first + total_second, second], -2), total_first + total_second
        xs, ys = ([torch.cat(_halves(x), -2) for x in many] for many in (xs, ys))
        width *= 2
    return [[w.squeeze(-3).to(dtype) for w in row] for row in found]


def _own(row: Reads, y: Tensor) -> Tensor:
    """The blocks of one row: its own key, read or not, `[.., C, 1, 1]`."""
    product = (row.x * y).sum(-1)[..., None, None]
    return product if row.inclusive else torch.zeros_like(product)


def _halves(x: Tensor) -> tuple[Tensor, Tensor]:
    """`[.., 2 N, s, d]` as the first and the second of each pair, `[.., N, s, d]`."""
    pairs = x.unflatten(-3, (-1, 2))
    return pairs[..., 0, :, :], pairs[..., 1, :, :]


def _joined(blocks: Tensor, across: Tensor) -> Tensor:
    """Blocks `[.., 2 N, s, s]` on the diagonal and `[.., N, s, s]` below it as `[.., N, 2 s, 2 s]`."""
    first, second = _halves(blocks)
    return torch.cat([torch.cat([first, torch.zeros_like(across)], -1), torch.cat([across, second], -1)], -2)


def decayed(q: Tensor, k: Tensor, v: Tensor, g: Tensor, own: Tensor | None = None) -> Tensor:
    """No rank-one term: `q, k [b, g, N, C, d_k]` of as many or fewer heads, `v [b, h, N, C, d_v]`, to its shape.

    `own [b, h, N, C]`: what a token weighs for itself, where that is not q_i k_i.
    """
    repeat = v.shape[1] // k.shape[1]
    since, until = summed_logs(g)
    if g.shape[-1] == 1:
        weights = _repeated(q @ k.mT, repeat) * fading(g).to(q.dtype)
    else:
        ((weights,),) = pair_weights([Reads(q, True)], [k], g)
    if own is not None:
        weights = weights.tril(-1) + own.diag_embed()
    q, k = _repeated(q, repeat), _repeated(k, repeat)
    added = (k * until.exp().to(k.dtype)).mT @ v
    states = carry.carried(since[..., -1:, :].mT.exp(), wide(added))
    return weights @ v + (q * since.exp().to(q.dtype)) @ states[:, :, :-1].to(q.dtype)


class Delta(NamedTuple):
    """What a delta rule's states are made of (see `carry.correct`), weights of q on k, and summed log gates."""

    reads: Tensor
    writes: Tensor
    fresh: Tensor
    decay: Tensor
    weights: Tensor
    since: Tensor


def delta_terms(q: Tensor, k: Tensor, v: Tensor, beta: Tensor, g: Tensor) -> Delta:
    """S <- e^g S, then S <- S + beta k (v - k S): the corrections of a chunk by substitution (Yang et al. 2024).

    `q, k [b, g, N, C, d_k]` of as many or fewer heads, `v [b, h, N, C, d_v]`, `beta [b, h, N, C, 1]`. Queries may be
    fewer, C / r: they read after every r-th correction.
    """
    repeat, size = v.shape[1] // k.shape[1], k.shape[-2]
    since, until = summed_logs(g)
    if g.shape[-1] == 1:
        both = torch.cat([k, q], -2) @ k.mT
        fade, every = fading(g).to(k.dtype), size // q.shape[-2]
        own, weights = (_repeated(x, repeat) for x in both.split([size, q.shape[-2]], -2))
        own, weights, since_read = (
            own * fade,
            weights * fade[..., every - 1 :: every, :],
            since[..., every - 1 :: every, :],
        )
        k = _repeated(k, repeat)
    else:
        (own,), (weights,) = pair_weights([Reads(k, True), Reads(q, True)], [k], g)
        since_read = since
    right = beta * torch.cat([k * since.exp().to(k.dtype), v], -1)
    solved = substituted(beta * own, right)
    reads, fresh = solved.split([k.shape[-1], v.shape[-1]], -1)
    return Delta(-reads, k * until.exp().to(k.dtype), fresh, since[..., -1:, :].mT.exp(), weights, since_read)


def corrected(q: Tensor, k: Tensor, v: Tensor, beta: Tensor, g: Tensor) -> Tensor:
    """The delta rule, with gates: the streams of `delta_terms` to `[b, h, N, C, d_v]`."""
    made = delta_terms(q, k, v, beta, g)
    states, fixed = carry.corrected(made.decay, None, made.reads, made.writes, made.fresh)
    q = _repeated(q, v.shape[1] // q.shape[1]) * made.since.exp().to(q.dtype)
    return made.weights @ fixed + q @ states[:, :, :-1].to(q.dtype)


def delta_state(k: Tensor, v: Tensor, beta: Tensor, g: Tensor) -> Tensor:
    """The state `[b, h, d_k, d_v]` after all chunks."""
    made = delta_terms(k, k, v, beta, g)
    return carry.corrected(made.decay, None, made.reads, made.writes, made.fresh)[0][:, :, -1]


class Dplr(NamedTuple):
    """What `carry.corrected` takes, weights of q on k and on b, and summed log gates."""

    carried: tuple[Tensor, Tensor, Tensor, Tensor, Tensor]
    on_k: Tensor
    on_b: Tensor
    since: Tensor


def dplr_terms(q: Tensor, k: Tensor, v: Tensor, a: Tensor, b: Tensor, g: Tensor) -> Dplr:
    """S_t = (diag(e^g_t) + b_t a_t^T) S_(t-1) + k_t v_t^T: all of `[b, h, N, C, d]`.

    A correction reads what was before its own gate: rows of `a` do not fade by it.
    """
    (on_k, on_b), (reads_k, reads_b) = pair_weights([Reads(q, True), Reads(a, False)], [k, b], g)
    since, until = summed_logs(g)
    before = torch.cat([torch.zeros_like(since[..., :1, :]), since[..., :-1, :]], -2)
    kept, at_end = until.exp().to(k.dtype), since[..., -1:, :].mT.exp()
    solved = substituted(-reads_b, torch.cat([a * before.exp().to(a.dtype), reads_k @ v], -1))
    reads, fresh = solved.split([k.shape[-1], v.shape[-1]], -1)
    return Dplr((at_end, wide((k * kept).mT @ v), reads, b * kept, fresh), on_k, on_b, since)


def dplr(q: Tensor, k: Tensor, v: Tensor, a: Tensor, b: Tensor, g: Tensor) -> Tensor:
    """The recurrence of `dplr_terms`, to the shape of v."""
    made = dplr_terms(q, k, v, a, b, g)
    states, fixed = carry.corrected(*made.carried)
    return made.on_k @ v + made.on_b @ fixed + (q * made.since.exp().to(q.dtype)) @ states[:, :, :-1].to(q.dtype)


def substituted(below: Tensor, right: Tensor) -> Tensor:
    """(I + A)^-1 B for what of A lies below the diagonal, `[.., C, C]`, in float32 at least: C^2 FLOPs a column."""
    solved = torch.linalg.solve_triangular(wide(below), wide(right), upper=False, unitriangular=True)
    return solved.to(right.dtype)


def _repeated(x: Tensor, times: int) -> Tensor:
    return x.repeat_interleave(times, 1) if times > 1 else x
