"""The recurrences against the naive functions of `fla-core` (0.6.0), which go token by token in float32."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor

from attnprof.shapes import Shape
from attnprof.targets import door
from attnprof.units import Value

pytest.importorskip("fla.ops.linear_attn.naive", reason="fla-core is not installed: make oracles")
N = 50
Call = Callable[..., Tensor]


def theirs(module: str, name: str) -> Callable[..., Any]:
    """A function of `fla.ops`."""
    found = vars(importlib.import_module(f"fla.ops.{module}.naive"))[name]
    assert callable(found)
    return found


def rows_first(call: Callable[..., Any]) -> Call:
    """A function of streams `[b, n, h, ..]`, of which those of one number a head lack the last dimension."""

    def of_heads(*streams: Tensor) -> Tensor:
        parts = [x.transpose(1, 2).squeeze(-1) if x.shape[-1] == 1 else x.transpose(1, 2) for x in streams]
        found = call(*parts)
        return (found[0] if isinstance(found, tuple) else found).transpose(1, 2)

    return of_heads


def retnet(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return theirs("retention", "naive_retention")(q, k, v)


@rows_first
def gla(q: Tensor, k: Tensor, v: Tensor, g: Tensor) -> Any:
    return theirs("gla", "naive_recurrent_gla")(q, k, v, g)


@rows_first
def lightning(q: Tensor, k: Tensor, v: Tensor) -> Any:
    heads = torch.arange(1, q.shape[2] + 1)
    g = -(2.0 ** (-8 * heads / q.shape[2])).expand(*q.shape[:3])
    return theirs("simple_gla", "naive_recurrent_simple_gla")(q, k, v, g=g, scale=1.0)


def deltanet(q: Tensor, k: Tensor, v: Tensor, beta: Tensor) -> Tensor:
    found = theirs("delta_rule", "delta_rule_recurrence")(q, k, v, beta.squeeze(-1))
    return found[0]


@rows_first
def gated_deltanet(q: Tensor, k: Tensor, v: Tensor, beta: Tensor, g: Tensor) -> Any:
    repeat = v.shape[2] // k.shape[2]
    q, k = (x.repeat_interleave(repeat, 2) for x in (q, k))
    return theirs("gated_delta_rule", "naive_recurrent_gated_delta_rule")(q, k, v, beta, g)


@rows_first
def kda(q: Tensor, k: Tensor, v: Tensor, beta: Tensor, g: Tensor) -> Any:
    return theirs("kda", "naive_recurrent_kda")(q, k, v, g, beta)


@rows_first
def hgrn2(q: Tensor, g: Tensor, v: Tensor) -> Any:
    return theirs("gla", "naive_recurrent_gla")(q * q.shape[-1] ** 0.5, 1 - g.exp(), v, g)


def delta_product(q: Tensor, k: Tensor, v: Tensor, beta: Tensor, g: Tensor) -> Tensor:
    """Corrections stand one after the other there, side by side here."""
    k, v, beta = (x.unflatten(-1, (2, -1)).flatten(2, 3) for x in (k, v, beta))
    naive, scale = theirs("gated_delta_product", "naive_recurrent_gated_delta_product"), q.shape[-1] ** -0.5
    parts = (x.transpose(1, 2) for x in (q, k, v, g.squeeze(-1), beta.squeeze(-1)))
    return naive(*parts, scale, num_householder=2)[0].transpose(1, 2)


def rwkv7(r: Tensor, k: Tensor, v: Tensor, removal: Tensor, rate: Tensor, g: Tensor) -> Tensor:
    naive = theirs("generalized_delta_rule.dplr", "dplr_recurrence")
    return naive(r * r.shape[-1] ** 0.5, k, v, -removal, removal * rate, g)[0]


@rows_first
def fox(q: Tensor, k: Tensor, v: Tensor, g: Tensor) -> Any:
    return theirs("forgetting_attn", "naive_forgetting_attn")(q, k, v, g)


@rows_first
def path(q: Tensor, k: Tensor, v: Tensor, w: Tensor, beta: Tensor) -> Any:
    naive, zeros = theirs("path_attn", "naive_path_attn"), torch.zeros_like(beta)
    return naive(q, k, v, w, beta, zeros, q.shape[-1] ** -0.5, chunk_size=16)


ORACLES: list[tuple[str, Mapping[str, Value], Call]] = [
    ("retnet", {}, retnet),
    ("gla", {}, gla),
    ("lightning", {}, lightning),
    ("deltanet", {}, deltanet),
    ("gated_deltanet", {}, gated_deltanet),
    ("gated_deltanet", {"key_heads": 2}, gated_deltanet),
    ("kda", {}, kda),
    ("hgrn2", {}, hgrn2),
    ("delta_product", {}, delta_product),
    ("rwkv7", {}, rwkv7),
    ("fox", {}, fox),
    ("path", {"chunk": 16}, path),
]


@pytest.mark.parametrize(("name", "params", "oracle"), ORACLES, ids=[f"{name}{dict(p)}" for name, p, _ in ORACLES])
def test_the_core_equals_the_naive_recurrence(name: str, params: Mapping[str, Value], oracle: Call) -> None:
    shape = Shape(N, batch=2, dim=32, heads=4, causal=True, level="core", dtype="float64")
    torch.manual_seed(0)
    target = door.find(name, params=params)
    core, streams = target.build(shape), target.inputs(shape)
    expected = oracle(*(x.float() for x in streams))
    torch.testing.assert_close(core(*streams), expected.double(), rtol=1e-5, atol=2e-5)


def test_log_linear_attention_equals_the_naive_one() -> None:
    """Levels there are as many as 50 tokens need: 7, of which the weights here hold more."""
    shape = Shape(N, batch=2, dim=32, heads=4, causal=True, level="core", dtype="float64")
    target = door.find("log_linear", params={"state": 6, "groups": 2, "chunk": 8})
    core, (c, b, x, step, scales) = target.build(shape), target.inputs(shape)
    g = -dict(core.named_parameters())["a_log"].exp()[:, None, None] * step
    parts = (y.transpose(1, 2).float() for y in (c, b, x * step))
    naive = theirs("log_linear_attn", "naive_log_linear_attn")
    mixed = naive(*parts, g.squeeze(-1).mT.float(), scales[..., :7].transpose(1, 2).float())
    torch.testing.assert_close(core(c, b, x, step, scales), mixed.transpose(1, 2).double() + x, rtol=1e-5, atol=2e-5)


def test_mamba2_equals_the_naive_recurrence() -> None:
    shape = Shape(N, batch=2, dim=32, heads=4, causal=True, level="core", dtype="float64")
    target = door.find("mamba2", params={"state": 6, "groups": 2})
    core, (c, b, x, step) = target.build(shape), target.inputs(shape)
    parameters = dict(core.named_parameters())
    c2, b2 = (y.repeat_interleave(2, 1).transpose(1, 2).float() for y in (c, b))
    g = (-parameters["a_log"].exp()[:, None, None] * step).transpose(1, 2).squeeze(-1).float()
    naive = theirs("simple_gla", "naive_recurrent_simple_gla")
    mixed = naive(c2, b2, (x * step).transpose(1, 2).float(), g=g, scale=1.0)[0].transpose(1, 2)
    torch.testing.assert_close(core(c, b, x, step), mixed.double() + x, rtol=1e-5, atol=2e-5)
