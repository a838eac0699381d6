"""Hyena: long convolutions, by Fourier transforms, with filters that a small network writes (Poli et al. 2023)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from attnprof import impl
from attnprof.contracts import Spec
from attnprof.layers.attention import dtype_of, split_heads
from attnprof.layers.in_turn import in_turn
from attnprof.layers.recurrent import RecurrentLayer, ShortConv, StateProjections, Streams

# Width and depth of the network are those of Poli et al. 2023, table A.4, where the sines have a frequency of 14: none
# here. It reads t, and a cosine and a sine of it, as the released code; that they go round once in n is ours.
HIDDEN = 64
FEATURES = 3
DEEP = 2  # layers between the first and the last
# Of the released code too: filters fall to TARGET after a share of n from FAST to SLOW, one for each channel.
FAST, SLOW, TARGET = 0.3, 1.5, 0.01


class FilteredPast(NamedTuple):
    """All inputs of each convolution `[b, N, h d, n]`, and what each filter weighs them with by lag, `[N, h d, n]`."""

    inputs: Tensor
    taps: Tensor


class Core(nn.Module):
    """`v, x_1, ..., x_N [b, h, n, d]`: z_(i+1) = x_i (h_i * z_i + D_i z_i) from z_1 = v (definition 3.1).

    Filters are FFN(t) e^(-rate t), t = lag / n, with a rate a channel (equation 7).
    """

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        shape, self.order = spec.shape, spec.number("order")
        self.shape, self.n, self.width = shape, shape.n, shape.heads * shape.d
        sizes = [FEATURES, *[HIDDEN] * (DEEP + 1), self.order * self.width]
        self.writers = nn.ModuleList(nn.Linear(a, b, bias=at <= DEEP) for at, (a, b) in enumerate(pairwise(sizes)))
        self.skips = nn.Parameter(torch.randn(self.order, self.width))

    def forward(self, v: Tensor, *xs: Tensor) -> Tensor:
        z = v
        for z in self.mixed(v, *xs):  # noqa: B007
            pass
        return z

    def mixed(self, v: Tensor, *xs: Tensor) -> Iterator[Tensor]:
        """The z_i after the first, one after the other, `[b, h, n, d]`."""
        size = 1 << (2 * self.n - 1).bit_length()
        single = torch.promote_types(v.dtype, torch.float32)
        filters = torch.fft.rfft(self.filters(v, 0, self.n).to(single), size)
        z, *gates = (x.mT.flatten(1, 2) for x in (v, *xs))
        for x, spectrum, skip in zip(gates, filters, self.skips, strict=True):
            long = torch.fft.irfft(torch.fft.rfft(z.to(single), size) * spectrum, size)[..., : self.n]
            z = x * (long.to(v.dtype) + skip[:, None] * z)
            yield z.unflatten(1, (v.shape[1], -1)).mT

    def filters(self, v: Tensor, first: int, last: int) -> Tensor:
        """What every filter weighs the lags from `first` to before `last` with, `[N, h d, lags]`."""
        t = torch.arange(first, last, device=v.device, dtype=torch.float64) / self.n
        least, most = (math.log(TARGET) / share for share in (FAST, SLOW))
        rates = torch.linspace(least, most, self.width, device=v.device, dtype=torch.float64)
        z = torch.stack([t, (2 * math.pi * t).cos(), (2 * math.pi * t).sin()], -1).to(v.dtype)
        for writer in self.writers[:-1]:
            z = writer(z).sin()
        faded = (rates[:, None] * t).exp().to(v.dtype)
        return self.writers[-1](z).mT.unflatten(0, (self.order, -1)) * faded

    def state(self, n: int) -> FilteredPast:
        """The inputs of every convolution so far, of random content, and the filters up to the lag n."""
        made = self.skips.new_empty(self.shape.batch, self.order, self.width, n).normal_()
        return FilteredPast(made, self.filters(made, 0, n))

    def prefill(self, v: Tensor, *xs: Tensor) -> FilteredPast:
        """The state after these tokens."""
        count, rows = v.shape[2], [F.pad(x, (0, 0, 0, self.n - v.shape[2])) for x in (v, *xs)]
        passed = [rows[0], *self.mixed(*rows)][:-1]
        inputs = [z.mT.flatten(1, 2)[..., :count] for z in passed]
        return FilteredPast(torch.stack(inputs, 1), self.filters(v, 0, count))

    @in_turn()
    def step(self, v: Tensor, *rest: Any) -> tuple[Tensor, FilteredPast]:
        """One token more: of each convolution all its inputs by the filter, newest first, 2 (n + 1) FLOPs a channel."""
        *xs, state = rest
        n = state.inputs.shape[-1]
        taps = torch.cat([state.taps, self.filters(v, n, n + 1)], -1)
        z, added = v.mT.flatten(1, 2), []
        for at, x in enumerate(xs):
            added.append(z)
            past = torch.cat([state.inputs[:, at], z], -1)
            long = past.unsqueeze(-2) @ taps[at].flip(-1).unsqueeze(-1)
            z = x.mT.flatten(1, 2) * (long.squeeze(-1) + self.skips[at][:, None] * z)
        inputs = torch.cat([state.inputs, torch.stack(added, 1)], -1)
        return z.unflatten(1, (v.shape[1], -1)).mT, FilteredPast(inputs, taps)

    def reference(self, v: Tensor, *xs: Tensor) -> Tensor:
        """Every filter times every token of the past, lag by lag."""
        heads, n = v.shape[1], v.shape[2]
        t = torch.linspace(0, 1, n + 1, dtype=v.dtype, device=v.device)[:n, None]
        z = torch.cat([t, torch.cos(2 * torch.pi * t), torch.sin(2 * torch.pi * t)], 1)
        *deep, last = self.writers
        for writer in deep:
            z = torch.sin(writer(z))
        channel = torch.arange(self.width, dtype=v.dtype, device=v.device) / max(self.width - 1, 1)
        rate = math.log(1 / TARGET) * (1 / FAST + (1 / SLOW - 1 / FAST) * channel)
        taps = (last(z).reshape(n, self.order, -1) * torch.exp(-t[..., None] * rate)).permute(1, 2, 0)
        z = v
        for i, x in enumerate(xs):
            lags = F.pad(taps[i].flip(-1), (0, n - 1)).unfold(-1, n, 1).flip(-2)  # of each token, oldest first
            long = torch.einsum("hcij,bhjc->bhic", lags.reshape(heads, -1, n, n), z)
            z = x * (long + self.skips[i].reshape(heads, 1, -1) * z)
        return z


class Projections(StateProjections[Tensor]):
    """v and the gates of `x [b, n, D]`, each through a convolution over three tokens."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        shape, self.parts = spec.shape, spec.number("order") + 1
        self.heads, width = shape.heads, shape.heads * shape.d
        self.to_all = nn.Linear(shape.dim, self.parts * width)
        self.conv = ShortConv(self.parts * width, 3, nn.Identity())

    def forward(self, x: Tensor, kept: Tensor | None = None) -> tuple[Streams, Tensor]:
        mixed, tail = self.conv(self.to_all(x), kept)
        return tuple(split_heads(part, self.heads) for part in mixed.chunk(self.parts, -1)), tail


class Ungated(nn.Module):
    """The last gate is in the core."""

    def forward(self, mixed: Tensor, x: Tensor, *streams: Tensor) -> Tensor:
        return mixed


class Layer(RecurrentLayer):
    """The operator between its projections (algorithm 3)."""

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec.shape, Projections(spec), impl.core(spec), Ungated())


def streams(spec: Spec) -> tuple[Tensor, ...]:
    """Random inputs of the core."""
    shape = spec.shape
    size = (shape.batch, shape.heads, shape.n, shape.d)
    return tuple(torch.randn(size, dtype=dtype_of(shape)) for _ in range(spec.number("order") + 1))


def flops_core(spec: Spec) -> int:
    """2.5 L log2 L a real transform, L the power of two from 2 n on: 2 a channel, order and sequence, 1 for a filter.

    And the network: 2 n (3 * 64 + 2 * 64^2 + 64 N D).
    """
    shape, order = spec.shape, spec.number("order")
    bits, width = (2 * shape.n - 1).bit_length(), shape.heads * shape.d
    transforms = (2 * shape.batch + 1) * order * width * 5 * (1 << bits) * bits // 2
    return transforms + 2 * shape.n * (FEATURES * HIDDEN + DEEP * HIDDEN**2 + HIDDEN * order * width)
