"""Memory-compressed attention: two kinds of layers, one after the other."""

from __future__ import annotations

from typing import Any

import torch

from attnprof.counting import count
from attnprof.layers.softmax import softmax_attention
from attnprof.shapes import Shape
from attnprof.targets import door


def test_the_first_layer_is_local_and_the_second_sees_every_slot() -> None:
    shape = Shape(n=48, dim=16, heads=2, level="core", dtype="float64")
    target: Any = door.find("memory_compressed", params={"block": 12})
    assert target.layers == 2
    local, compressed = target.build(shape).layers
    q, k, v = target.inputs(shape)
    block = torch.arange(48) // 12
    torch.testing.assert_close(local(q, k, v), softmax_attention(q, k, v, block[:, None] == block))
    slots = compressed.convolved(k, v)
    assert slots[0].shape == (1, 2, 16, 8)
    torch.testing.assert_close(compressed(q, k, v), softmax_attention(q, *slots))


def test_a_slot_is_a_weighted_sum_of_its_three_tokens() -> None:
    shape = Shape(n=48, dim=16, heads=2, level="core", dtype="float64")
    compressed = door.find("memory_compressed").build(shape).layers[1]  # type: ignore[index, union-attr]
    _, k, v = door.find("memory_compressed").inputs(shape)
    before = compressed.convolved(k, v)[0]  # type: ignore[operator, union-attr]
    k[:, :, 9:12] += 1
    moved = (compressed.convolved(k, v)[0] - before).abs().amax((0, 1, 3))  # type: ignore[operator, union-attr]
    assert (moved > 0).nonzero().flatten().tolist() == [3]


def test_the_papers_stack_is_three_local_layers_around_two_compressed_ones() -> None:
    shape, target = (
        Shape(64, dim=16, heads=2, causal=True),
        door.find("memory_compressed", params={"stack": "LMLML"}),
    )
    layers: Any = target.build(shape)
    assert ["L" if layer.core.local is not None else "M" for layer in layers] == list("LMLML")
    pair = door.find("memory_compressed")
    one, five = (count(each, shape, "forward").cost.flops_core_executed for each in (pair, target))
    first = count(door.find("block_local", params={"block": 64}), shape, "forward").cost.flops_core_executed
    assert one is not None
    assert first is not None
    assert five == 2 * one + first
    twice: Any = target.build(shape.replace(level="block", depth=2))
    kinds = ["L" if block.attention.core.local is not None else "M" for block in list(twice)[1:]]
    assert kinds == list("LMLML" * 2)
