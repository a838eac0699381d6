"""Forgetting attention by FlexAttention is what it is by two products."""

from __future__ import annotations

import torch
from torch.nn.attention.flex_attention import flex_attention

from attnprof.counting import count
from attnprof.schemes.fox import FusedFox
from attnprof.shapes import Shape
from attnprof.targets import door


def test_the_fused_form_adds_the_summed_gates_to_every_score() -> None:
    """Not compiled here, which takes a minute: the rule is the same."""
    shape = Shape(200, batch=2, dim=64, heads=4, kv_heads=2, causal=True, level="core")
    target = door.find("fox", impl="flex")
    core, streams = target.build(shape), target.inputs(shape)
    assert isinstance(core, FusedFox)
    core.kernel.fused = flex_attention
    with torch.no_grad():
        torch.testing.assert_close(core(*streams), core.reference(*streams), rtol=1e-5, atol=1e-5)


def test_the_fused_form_is_counted_by_its_live_tiles() -> None:
    """512 tokens are 4 x 4 tiles of 128, of which 10 are alive: 4 d FLOPs for each of their pairs."""
    shape = Shape(512, dim=64, heads=4, causal=True, level="core")
    cost = count(door.find("fox", impl="flex"), shape, "forward").cost
    assert cost.flops_core_executed == 4 * 10 * 128 * 128 * 4 * 16
    assert cost.peak_bytes is not None
    assert cost.peak_bytes < 512 * 512 * 4


def test_a_gate_that_forgets_leaves_what_follows() -> None:
    """After f = 0 nothing older has a weight, however many gates were summed before: in float32, at 4,096 tokens."""
    shape = Shape(4096, dim=8, heads=1, causal=True, level="core")
    target = door.find("fox")
    core, (q, k, v, _) = target.build(shape), target.inputs(shape)
    g = torch.full_like(q[..., :1], -30.0)
    g[:, :, 4001:] = -1e-3
    g[:, :, 4000] = -float("inf")
    with torch.no_grad():
        late = core(q, k, v, g)[:, :, 4000:]
        alone = core.double()(*(x[:, :, 4000:].double() for x in (q, k, v, g)))
    torch.testing.assert_close(late.double(), alone, rtol=1e-5, atol=1e-5)
