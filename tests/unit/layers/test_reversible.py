"""Reversible blocks: the plain gradients, and nothing kept that grows with depth."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from attnprof.layers.decisions import Decisions, decided, keeping, replaying
from attnprof.layers.reversible import ChunkedFeedForward, Reversible
from attnprof.shapes import Shape
from attnprof.targets import door

DIM = 16


def stack(name: str, depth: int, n: int = 50, dtype: str = "float64") -> Reversible:
    """Pre-norm attention and chunked FFN, `depth` times."""
    shape = Shape(n, batch=2, dim=DIM, heads=2, causal=True, dtype=dtype)
    pairs = []
    for _ in range(depth):
        ffn = nn.Sequential(nn.LayerNorm(DIM), nn.Linear(DIM, 4 * DIM), nn.GELU(), nn.Linear(4 * DIM, DIM))
        attention = nn.Sequential(nn.LayerNorm(DIM), door.find(name).build(shape))
        pairs.append((attention, ChunkedFeedForward(ffn, 4)))
    return Reversible(pairs).to(getattr(torch, dtype))


@pytest.mark.parametrize("name", ["dense", "reformer", "routing"])
def test_output_and_gradients_are_those_of_the_plain_blocks(name: str) -> None:
    blocks = stack(name, 3)
    x = torch.randn(2, 50, DIM, dtype=torch.float64, requires_grad=True)
    torch.testing.assert_close(blocks(x), blocks.reference(x), rtol=1e-12, atol=1e-12)
    leaves = [x, *blocks.parameters()]
    ours = torch.autograd.grad(blocks(x).square().sum(), leaves)
    plain = torch.autograd.grad(blocks.reference(x).square().sum(), leaves)
    torch.testing.assert_close(ours, plain, rtol=1e-9, atol=1e-9)


def saved_bytes(blocks: Reversible, run: str) -> int:
    """Bytes of the distinct storages that autograd keeps, parameters aside."""
    owned = {p.untyped_storage().data_ptr() for p in [*blocks.parameters(), *blocks.buffers()]}
    kept: dict[int, int] = {}

    def keep(x: Tensor) -> Tensor:
        if x.untyped_storage().data_ptr() not in owned:
            kept[x.untyped_storage().data_ptr()] = x.untyped_storage().nbytes()
        return x

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
        out = getattr(blocks, run)(torch.randn(2, 50, DIM, requires_grad=True))
    assert out.requires_grad
    return sum(kept.values())


def test_what_is_kept_does_not_grow_with_depth() -> None:
    shallow, deep = (stack("dense", depth, dtype="float32") for depth in (1, 6))
    assert saved_bytes(deep, "forward") == saved_bytes(shallow, "forward") == 2 * 2 * 50 * DIM * 4
    assert saved_bytes(deep, "reference") > 5 * saved_bytes(shallow, "reference")


def test_gradients_flow_where_the_input_needs_none() -> None:
    blocks = stack("dense", 2)
    blocks(torch.randn(2, 50, DIM, dtype=torch.float64)).sum().backward()
    assert all(p.grad is not None for p in blocks.parameters())


def test_chunks_change_nothing_but_when_the_work_is_done() -> None:
    layer = nn.Sequential(nn.Linear(DIM, 64), nn.GELU(), nn.Linear(64, DIM))
    for n in (1, 7, 64):
        x = torch.randn(2, n, DIM)
        torch.testing.assert_close(ChunkedFeedForward(layer, 8)(x), layer(x))


def test_choices_are_replayed_in_the_order_in_which_they_were_made() -> None:
    kept = Decisions()
    with keeping(kept):
        assert [decided(lambda at=at: at) for at in range(3)] == [0, 1, 2]
    with replaying(kept):
        assert [decided(lambda: -1) for _ in range(3)] == [0, 1, 2]
    assert decided(lambda: 7) == 7
