"""Other people's packages as far as the adapters call them: each computes with torch on a CPU, by its own rules.

What a kernel does is written from its documentation: layouts, alignment, what a window counts.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor

from attnprof.impl import implementation
from attnprof.words import DeviceName
from tests.laws.papers_selecting import neighbours


def softmax(q: Tensor, k: Tensor, v: Tensor, seen: Tensor) -> Tensor:
    """`[b, n, h, d]` over `[b, m, g, d]` where `seen [n, m]`."""
    repeat = q.shape[2] // k.shape[2]
    k, v = (x.repeat_interleave(repeat, 2) for x in (k, v))
    scores = torch.einsum("bihd,bjhd->bhij", q, k) / q.shape[-1] ** 0.5
    return torch.einsum("bhij,bjhd->bihd", scores.masked_fill(~seen, float("-inf")).softmax(-1), v)


def lags(q: Tensor, k: Tensor) -> Tensor:
    """How far key j lies before query i, `[n, m]`, the last key beside the last query."""
    n, m = q.shape[1], k.shape[1]
    return torch.arange(n)[:, None] + m - n - torch.arange(m)


def flash_attn_func(
    q: Tensor, k: Tensor, v: Tensor, causal: bool = False, window_size: tuple[int, int] = (-1, -1)
) -> Tensor:
    """flash_attn: `window_size` counts keys before and after a query's own; -1 has no end."""
    lag, (before, after) = lags(q, k), window_size
    seen = lag >= 0 if causal else torch.ones_like(lag, dtype=torch.bool)
    seen = seen & (lag <= before) if before >= 0 else seen
    return softmax(q, k, v, seen & (lag >= -after) if after >= 0 else seen)


@dataclass
class LocalAttentionFromBottomRightMask:
    """xformers: keys from `window_left` before to `window_right` after."""

    window_left: int
    window_right: int


class LowerTriangularFromBottomRightMask:
    """xformers: the past, the last key beside the last query."""


def memory_efficient_attention(q: Tensor, k: Tensor, v: Tensor, attn_bias: Any = None) -> Tensor:
    """xformers: as many KV heads as query heads in the last axes but one; a group of them is a fifth axis."""
    assert q.shape[2:-1] == k.shape[2:-1]
    flat = [x.flatten(2, -2) for x in (q, k, v)]
    lag = lags(q, k)
    seen = torch.ones_like(lag, dtype=torch.bool)
    if isinstance(attn_bias, LocalAttentionFromBottomRightMask):
        seen = (lag <= attn_bias.window_left) & (lag >= -attn_bias.window_right)
    elif attn_bias is not None:
        seen = lag >= 0
    return softmax(flat[0], flat[1], flat[2], seen).reshape(q.shape)


def na1d(q: Tensor, k: Tensor, v: Tensor, kernel_size: int, dilation: int = 1, is_causal: bool = False) -> Tensor:
    """NATTEN on a line: the nearest of one residue, moved inwards at the ends; causal, the last ones."""
    return softmax(q, k, v, near(q.shape[1], kernel_size, dilation, is_causal))


def na2d(
    q: Tensor, k: Tensor, v: Tensor, kernel_size: tuple[int, int], dilation: tuple[int, int], is_causal: bool = False
) -> Tensor:
    """NATTEN on a grid `[b, H, W, h, d]`: what both axes read."""
    axes = zip(q.shape[1:3], kernel_size, dilation, strict=True)
    rows, columns = (near(size, kernel, step, is_causal) for size, kernel, step in axes)
    seen = torch.kron(rows.int(), columns.int()).bool()
    return softmax(*(x.flatten(1, 2) for x in (q, k, v)), seen).view_as(q)


def near(size: int, kernel: int, dilation: int, causal: bool) -> Tensor:
    """Which places of a line read which, `[size, size]`."""
    assert 2 <= kernel <= size // dilation
    found = torch.zeros(size, size, dtype=torch.bool)
    for place, keys in enumerate(neighbours(size, kernel, dilation, causal)):
        found[place, keys] = True
    return found


def chunk_linear_attn(
    q: Tensor, k: Tensor, v: Tensor, scale: float | None = None, normalize: bool = True
) -> tuple[Tensor, None]:
    """fla: sums over the past, divided by the sum of their weights and 1e-10."""
    q = q * (k.shape[-1] ** -0.5 if scale is None else scale)
    weights = torch.einsum("bihd,bjhd->bhij", q, k).tril()
    mixed = torch.einsum("bhij,bjhd->bihd", weights, v)
    return (mixed / (weights.sum(-1).transpose(1, 2)[..., None] + 1e-10) if normalize else mixed), None


def chunk_recurrence(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    g: Tensor | None = None,
    beta: Tensor | None = None,
    scale: float | None = None,
) -> tuple[Tensor, None]:
    """fla: a state `[d_k, d_v]` a head that fades by e^g, corrected towards v where there is a beta, read by q."""
    state, out = torch.zeros_like(k[:, 0, :, :, None] * v[:, 0, :, None, :]).float(), []
    for t in range(q.shape[1]):
        key, value = k[:, t].float(), v[:, t].float()
        if g is not None:
            kept = g[:, t].float().exp()
            state = state * (kept[..., None, None] if kept.dim() == 2 else kept[..., None])
        if beta is not None:
            value = beta[:, t, :, None].float() * (value - torch.einsum("bhk,bhkv->bhv", key, state))
        state = state + torch.einsum("bhk,bhv->bhkv", key, value)
        out.append(torch.einsum("bhk,bhkv->bhv", q[:, t].float(), state))
    return (torch.stack(out, 1) * (q.shape[-1] ** -0.5 if scale is None else scale)).to(v.dtype), None


def chunk_retention(q: Tensor, k: Tensor, v: Tensor, scale: float | None = None) -> tuple[Tensor, None]:
    """fla: head a fades by 1 - 2^(-5 - a)."""
    rates = (1 - 2.0 ** (-5.0 - torch.arange(q.shape[2]))).log()
    return chunk_recurrence(q, k, v, rates.expand(q.shape[:3]), scale=scale)


def chunk_rwkv7(
    r: Tensor, w: Tensor, k: Tensor, v: Tensor, a: Tensor, b: Tensor, scale: float = 1.0
) -> tuple[Tensor, None]:
    """fla: S <- diag(e^w) S + b (a S) + k v, w the logarithm of the decay."""
    state, out = torch.zeros_like(k[:, 0, :, :, None] * v[:, 0, :, None, :]).float(), []
    for t in range(r.shape[1]):
        read = torch.einsum("bhk,bhkv->bhv", a[:, t].float(), state)
        written = torch.einsum("bhk,bhv->bhkv", k[:, t].float(), v[:, t].float())
        put = torch.einsum("bhk,bhv->bhkv", b[:, t].float(), read)
        state = w[:, t].float().exp()[..., None] * state + put + written
        out.append(scale * torch.einsum("bhk,bhkv->bhv", r[:, t].float(), state))
    return torch.stack(out, 1).to(v.dtype), None


RECURRENCES: dict[str, dict[str, Callable[..., Any]]] = {
    "fla.ops.retention": {"chunk_retention": chunk_retention},
    "fla.ops.rwkv7": {"chunk_rwkv7": chunk_rwkv7},
    "fla.ops.gla": {"chunk_gla": chunk_recurrence},
    "fla.ops.simple_gla": {"chunk_simple_gla": chunk_recurrence},
    "fla.ops.delta_rule": {"chunk_delta_rule": chunk_recurrence},
    "fla.ops.gated_delta_rule": {"chunk_gated_delta_rule": chunk_recurrence},
    "fla.ops.kda": {"chunk_kda": chunk_recurrence},
}
PARTS: dict[str, dict[str, dict[str, Callable[..., Any]]]] = {
    "flash_attn": {"flash_attn": {"flash_attn_func": flash_attn_func}},
    "natten": {"natten": {"na1d": na1d, "na2d": na2d}},
    "fla": {"fla": {}, "fla.ops.linear_attn": {"chunk_linear_attn": chunk_linear_attn}, **RECURRENCES},
    "xformers": {
        "xformers": {},
        "xformers.ops": {"memory_efficient_attention": memory_efficient_attention},
        "xformers.ops.fmha.attn_bias": {
            "LocalAttentionFromBottomRightMask": LocalAttentionFromBottomRightMask,
            "LowerTriangularFromBottomRightMask": LowerTriangularFromBottomRightMask,
        },
    },
}


def install(monkeypatch: pytest.MonkeyPatch, name: str, *devices: DeviceName) -> None:
    """A package that can be imported, on its own device, or on those that it is said to run on."""
    for module, functions in PARTS[name].items():
        made = ModuleType(module)
        vars(made).update(functions)
        monkeypatch.setitem(sys.modules, module, made)
    if devices:
        monkeypatch.setattr(implementation(name), "devices", devices)


def remove(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """No package of that name, whatever this machine has."""
    monkeypatch.setattr("attnprof.impl._kernels.installed", lambda package: f"not installed: pip install {package}")
