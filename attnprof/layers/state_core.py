"""Cores of linear recurrences: the chunk scan going forward, and a state of d_k x d_v that goes on token by token."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from attnprof.contracts import Spec
from attnprof.layers.attention import dtype_of
from attnprof.layers.chunk_scan import chunk_size, corrected, decayed, delta_state, in_chunks, summed_logs, wide
from attnprof.layers.in_turn import in_turn
from attnprof.shapes import Shape


class StateCore(nn.Module):
    """The state and the steps; what one token does to the state is a subclass's `token`.

    The scale is of the output: of a query, its rounding would stay where products of the query nearly cancel.
    """

    def __init__(self, spec: Spec, keys: int, scale: float | None = None, chunk: str = "chunk") -> None:
        super().__init__()
        self.shape, self.keys = spec.shape, keys
        self.chunk = spec.number(chunk)
        self.scale = keys**-0.5 if scale is None else scale

    def state(self, n: int) -> Tensor:
        """What n tokens leave, of random content, `[b, h, d_k, d_v]` for every n, in float32 at least."""
        shape = self.shape
        return wide(torch.randn(shape.batch, shape.heads, self.keys, shape.d_v, dtype=dtype_of(shape)))

    @in_turn()
    def step(self, *streams: Tensor) -> tuple[Tensor, Tensor]:
        """The streams of one token more, or of several, and the state: their outputs, and the next state."""
        *streams, state = streams  # type: ignore[assignment]
        row, state = self.token(state, *streams)
        return row.to(streams[2].dtype), state

    def token(self, state: Tensor, *streams: Tensor) -> tuple[Tensor, Tensor]:
        """One token's output `[b, h, 1, d_v]`, and the next state."""
        raise NotImplementedError


class DecayCore(StateCore):
    """S_t = e^g_t S_(t-1) + k_t v_t^T, o_t = c q_t S_t; streams q, k, v and log gates `[b, h, n, 1 or d_k]`."""

    def forward(self, q: Tensor, k: Tensor, v: Tensor, g: Tensor) -> Tensor:
        mixed = decayed(*in_chunks(self.chunk, q, k, v, wide(g)))
        return mixed.flatten(2, 3)[:, :, : q.shape[2]] * self.scale

    def prefill(self, q: Tensor, k: Tensor, v: Tensor, g: Tensor) -> Tensor:
        """The state after these tokens: every key as far as it has faded."""
        _, until = summed_logs(wide(g))
        return (of_heads(wide(k), v) * until.exp()).mT @ wide(v)

    def token(self, state: Tensor, *streams: Tensor) -> tuple[Tensor, Tensor]:
        q, k, v, g = map(wide, streams)
        state = g.exp().mT * state + of_heads(k, v).mT @ v
        return (of_heads(q, v) * self.scale) @ state, state


class ConstantDecayCore(DecayCore):
    """The same where each head fades at a rate of its own; streams q, k, v."""

    def __init__(self, spec: Spec, rates: Sequence[float], scale: float | None = None, chunk: str = "chunk") -> None:
        super().__init__(spec, spec.shape.d, scale, chunk)
        self.rates = tuple(rates)  # no buffer, which bfloat16 would round

    def gates(self, v: Tensor, rows: int) -> Tensor:
        """Log gates `[1, h, rows, 1]`."""
        rates = torch.tensor(self.rates, dtype=wide(v[:0]).dtype, device=v.device)
        return rates[:, None, None].expand(1, -1, rows, -1)

    def forward(self, q: Tensor, k: Tensor, v: Tensor, g: Tensor | None = None) -> Tensor:
        q_, k_, v_ = in_chunks(self.chunk, q, k, v)
        one = self.gates(v, q_.shape[3]).unsqueeze(2)  # one chunk's gates are those of all
        return decayed(q_, k_, v_, one).flatten(2, 3)[:, :, : q.shape[2]] * self.scale

    def prefill(self, q: Tensor, k: Tensor, v: Tensor, g: Tensor | None = None) -> Tensor:
        """The state after these tokens."""
        return super().prefill(q, k, v, self.gates(v, v.shape[2]))

    def token(self, state: Tensor, *streams: Tensor) -> tuple[Tensor, Tensor]:
        return super().token(state, *streams, self.gates(streams[2], 1))


class DeltaCore(StateCore):
    """S_t = (I - beta_t k_t k_t^T) e^g_t S_(t-1) + beta_t k_t v_t^T; streams q, k, v, beta `[b, h, n, 1]`, log gates g.

    Without g nothing fades.
    """

    def forward(self, q: Tensor, k: Tensor, v: Tensor, beta: Tensor, g: Tensor | None = None) -> Tensor:
        parts = in_chunks(self.chunk, q, k, v, beta, wide(torch.zeros_like(beta) if g is None else g))
        return corrected(*parts).flatten(2, 3)[:, :, : q.shape[2]] * self.scale

    def prefill(self, q: Tensor, k: Tensor, v: Tensor, beta: Tensor, g: Tensor | None = None) -> Tensor:
        """The state after these tokens."""
        if not v.shape[2]:
            return torch.zeros_like(self.state(0))
        return delta_state(*in_chunks(self.chunk, *map(wide, (k, v, beta, torch.zeros_like(beta) if g is None else g))))

    def token(self, state: Tensor, *streams: Tensor) -> tuple[Tensor, Tensor]:
        q, k, v, beta, *gates = map(wide, streams)
        q, k = of_heads(q, v), of_heads(k, v)
        kept = gates[0].exp().mT * state if gates else state
        state = kept + (beta * k).mT @ (v - k @ kept)
        return (q * self.scale) @ state, state


def of_heads(x: Tensor, v: Tensor) -> Tensor:
    """Keys `[b, g, n, d_k]`, each for the heads of v that share it."""
    times = v.shape[1] // x.shape[1]
    return x.repeat_interleave(times, 1) if times > 1 else x


def decay_flops(shape: Shape, keys: int, chunk: int, *, channels: bool = False, key_heads: int = 0) -> int:
    """2 C d_k a row and head of keys, and 2 C d_v + 4 d_k d_v a head; gates of channels: (C - 1) d_k for the first.

    Rows in whole chunks of C, the power of two that a chunk is rounded up to.
    """
    size, rows = _sizes(shape, chunk)
    scores = shape.heads * (size - 1) * keys if channels else (key_heads or shape.heads) * 2 * size * keys
    return shape.batch * rows * (scores + shape.heads * (2 * size * shape.d_v + 4 * keys * shape.d_v))


def delta_flops(shape: Shape, keys: int, chunk: int, *, channels: bool = False, key_heads: int = 0) -> int:
    """Those for keys on keys too, C (d_k + d_v) for the substitution, and 6 d_k d_v through the state."""
    size, rows = _sizes(shape, chunk)
    scores = shape.heads * 2 * (size - 1) * keys if channels else (key_heads or shape.heads) * 4 * size * keys
    each = size * (keys + shape.d_v) + 2 * size * shape.d_v + 6 * keys * shape.d_v
    return shape.batch * rows * (scores + shape.heads * each)


def _sizes(shape: Shape, chunk: int) -> tuple[int, int]:
    size = chunk_size(chunk, shape.n)
    return size, -(-shape.n // size) * size
