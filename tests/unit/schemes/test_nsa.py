"""Native sparse attention beside its core: compressed keys token by token, gates, and the paper's numbers of keys."""

from __future__ import annotations

import math

import torch

from attnprof.counting import count
from attnprof.shapes import Shape
from attnprof.targets import door
from attnprof.words import Level, Pass

SMALL = {"window": 16, "block": 8, "selected": 4, "compress": 8, "stride": 4}


def test_a_compressed_key_is_a_map_of_the_tokens_of_its_block_each_with_its_position() -> None:
    torch.manual_seed(0)
    shape = Shape(21, dim=16, heads=2, causal=True, dtype="float64")  # type: ignore[arg-type]
    project = door.find("nsa", params=SMALL).build(shape).project
    assert isinstance(project, torch.nn.Module)
    x = torch.randn(1, 21, 16, dtype=torch.float64)
    _, k_c, _, *_, gates = project(x)
    raw = (x @ project.to_kv.weight.T).view(1, 21, 6, 2, 8)[:, :, 0]  # type: ignore[union-attr, operator]
    compress = project.compress_k
    assert k_c.shape == (1, 2, (21 - 8) // 4 + 1, 8)
    for head in range(2):
        for slot in range(4):
            tokens = [raw[0, slot * 4 + at, head] + compress.places[at] for at in range(8)]  # type: ignore[union-attr, index]
            inner = torch.cat(tokens) @ compress.inner.weight.T  # type: ignore[union-attr, operator]
            gelu = inner * (1 + torch.erf(inner / math.sqrt(2))) / 2
            torch.testing.assert_close(k_c[0, head, slot], gelu @ compress.outer.weight.T)  # type: ignore[union-attr, operator]
    assert ((gates > 0) & (gates < 1)).all()


def test_choosing_costs_as_much_as_the_compressed_branch_scores() -> None:
    """At 8k, 4 heads of 64: 511 slots of stretches of 2,048 queries, each up to its end; 2 d a pair to choose."""
    shape = Shape(8192, dim=256, heads=4, kv_heads=1, causal=True, level=Level.CORE)
    cost = count(door.find("nsa"), shape, Pass.FORWARD).cost
    seen = sum(2048 * ((end - 32) // 16 + 1) for end in (2048, 4096, 6144, 8192))
    assert cost.selection_flops == 2 * 64 * 4 * seen
    assert cost.flops_executed == cost.flops_core_executed + cost.selection_flops  # type: ignore[operator]
