"""What executes edges computes one function: softmax over the pattern's edges, forward and backward."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from attnprof.contracts import Spec
from attnprof.errors import Unsupported
from attnprof.layers.flex_kernel import FlexCore, block_mask, edges_by_tile, tile_edges
from attnprof.layers.gathered import GatherCore, flops_core
from attnprof.layers.masked_softmax import MaskedCore
from attnprof.layers.softmax import softmax_attention
from attnprof.pattern import Band, Expr, Pattern, Strided
from attnprof.shapes import Shape
from attnprof.targets import door
from tests.laws.expressions import NAMES, expressions

HEADS = [(2, 2), (4, 2), (2, 1)]


def spec(n: int, draw: Callable[[int, int], Expr], heads: int, kv_heads: int, kinds: int = 1) -> Spec:
    """A spec of width 8 a head, two sequences, float64."""
    shape = Shape(n=n, batch=2, dim=8 * heads, heads=heads, kv_heads=kv_heads, dtype="float64")
    return Spec(shape, {}, Pattern("test", n, False, draw, 1, kinds))


def streams(of: Spec) -> tuple[Tensor, Tensor, Tensor]:
    """Random q, k and v that want gradients."""
    torch.manual_seed(of.shape.n)
    sizes = [(2, of.shape.heads, of.shape.n, 8), *[(2, of.shape.groups, of.shape.n, 8)] * 2]
    q, k, v = (torch.randn(size, dtype=torch.float64, requires_grad=True) for size in sizes)
    return q, k, v


def assert_same(core: GatherCore | MaskedCore, of: Spec) -> None:
    """The core's output and gradients are those of the written-out softmax, to 1e-10."""
    inputs = streams(of)
    out, expected = core(*inputs), core.reference(*inputs)
    weight = torch.randn_like(out)
    torch.testing.assert_close(out, expected, atol=1e-10, rtol=0)
    for got, want in zip(
        torch.autograd.grad(out, inputs, weight), torch.autograd.grad(expected, inputs, weight), strict=True
    ):
        torch.testing.assert_close(got, want, atol=1e-10, rtol=0)


@pytest.mark.parametrize("n", [1, 37, 100])
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", [GatherCore, MaskedCore])
def test_each_is_the_masked_softmax(kind: type[GatherCore] | type[MaskedCore], name: str, n: int) -> None:
    of = spec(n, lambda layer, head: expressions(n)[name], 2, 2)
    assert_same(kind(of), of)


@pytest.mark.parametrize(("heads", "kv_heads"), HEADS)
@pytest.mark.parametrize("kind", [GatherCore, MaskedCore])
def test_heads_may_share_keys(kind: type[GatherCore] | type[MaskedCore], heads: int, kv_heads: int) -> None:
    of = spec(50, lambda layer, head: Band(7, 7), heads, kv_heads)
    assert_same(kind(of), of)


@pytest.mark.parametrize("kind", [GatherCore, MaskedCore])
def test_heads_may_have_patterns_of_their_own(kind: type[GatherCore] | type[MaskedCore]) -> None:
    of = spec(50, lambda layer, head: (Band(4), Strided(4, causal=True))[head], 4, 2, kinds=2)
    assert_same(kind(of), of)


def test_a_query_that_reads_nothing_gives_zero_and_no_nan() -> None:
    of = spec(40, lambda layer, head: expressions(40)["summary causal"], 2, 2)
    inputs = streams(of)
    out = GatherCore(of)(*inputs)
    assert (out[:, :, 0] == 0).all()
    out.sum().backward()
    assert all(x.grad is not None and torch.isfinite(x.grad).all() for x in inputs)


def test_the_stated_work_is_the_planned_tiles() -> None:
    of = spec(200, lambda layer, head: Band(16, 16), 2, 2)
    core = GatherCore(of)
    assert flops_core(of) == 2 * 4 * 8 * core.executed
    assert core.executed == sum(2 * stack.parts[0].executed for stack in core.groups[0][1][0].stacks)


@pytest.mark.parametrize("n", [100, 128, 300])
@pytest.mark.parametrize("name", ["band", "strided merged", "band and globals", "dilated band", "block table"])
def test_flex_masks_count_the_edges_of_every_tile(name: str, n: int) -> None:
    expr = expressions(n)[name]
    tiles = -(-n // 64)
    padded = torch.zeros(tiles * 64, tiles * 64, dtype=torch.int64)
    padded[:n, :n] = torch.as_tensor(expr.slices(n).dense())
    counted = padded.unflatten(0, (tiles, 64)).unflatten(2, (tiles, 64)).sum((1, 3))
    assert (torch.as_tensor(tile_edges(expr.slices(n), 64)) == counted).all()
    mask = block_mask([expr], n, 64)
    assert mask.full_kv_num_blocks is not None
    rows = torch.clamp(n - torch.arange(tiles) * 64, max=64)
    full = (counted == rows[:, None] * rows).sum(1)
    assert (mask.full_kv_num_blocks[0, 0] == full).all()
    assert (mask.kv_num_blocks[0, 0] == (counted > 0).sum(1) - full).all()


@pytest.mark.parametrize("name", ["band", "strided merged", "block table"])
def test_flex_without_compilation_is_the_masked_softmax(name: str) -> None:
    from torch.nn.attention.flex_attention import flex_attention

    expr, of = expressions(100)[name], spec(100, lambda layer, head: expressions(100)[name], 2, 2)
    q, k, v = (x.detach().float() for x in streams(of))
    out = flex_attention(q, k, v, block_mask=block_mask([expr], 100))
    assert isinstance(out, Tensor)
    expected = softmax_attention(q, k, v, torch.as_tensor(expr.slices(100).dense()))
    torch.testing.assert_close(out, expected, atol=1e-5, rtol=1e-5)


def test_flex_refuses_a_backward_on_a_cpu() -> None:
    of = spec(128, lambda layer, head: Band(7, 7), 2, 2)
    with pytest.raises(Unsupported, match="backward"):
        FlexCore(of)(*streams(of))


def test_flex_gives_every_head_its_own_tiles_and_rule() -> None:
    from torch.nn.attention.flex_attention import flex_attention

    of = spec(200, lambda layer, head: (Band(7, 7), Strided(9, causal=True))[head], 2, 2, kinds=2)
    assert of.pattern is not None
    mask = block_mask([of.pattern.expr(0, 0), of.pattern.expr(0, 1)], 200, 64)
    q, k, v = (x.detach().float() for x in streams(of))
    out = flex_attention(q, k, v, block_mask=mask)
    assert isinstance(out, Tensor)
    torch.testing.assert_close(out, GatherCore(of).reference(q, k, v), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", ["bigbird", "sliding_window"])
def test_flex_stays_fused_when_compiled(name: str) -> None:
    """A rule that the compiler cannot trace would fall back, unsaid, to n * n scores: it must be one whole graph."""
    target = door.find(name, impl="flex")
    shape = Shape(n=512, dim=32, heads=2, level="core")
    core, inputs = target.build(shape), target.inputs(shape)
    torch._dynamo.reset()
    with torch.no_grad():
        whole = torch.compile(core.forward, fullgraph=True)(*inputs)
        torch.testing.assert_close(whole, core.reference(*inputs), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("n", [1, 100, 128, 300])
@pytest.mark.parametrize("name", NAMES)
def test_edges_by_tile_are_those_of_the_mask(name: str, n: int) -> None:
    expr, tiles = expressions(n)[name], -(-n // 32)
    padded = np.zeros((tiles * 32, tiles * 32), dtype=np.int64)
    padded[:n, :n] = expr.slices(n).dense()
    assert (edges_by_tile(expr, n, 32) == padded.reshape(tiles, 32, tiles, 32).sum((1, 3))).all()
