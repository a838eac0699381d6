"""Longformer: windows and dilations by head, global tokens apart, and a causal form that has none."""

from __future__ import annotations

import pytest
import torch

from attnprof.counting import count
from attnprof.errors import AttnprofError
from attnprof.layers.softmax import softmax_attention
from attnprof.pattern import of_head
from attnprof.shapes import Shape
from attnprof.targets import door


def test_every_head_mixes_its_own_dilated_window() -> None:
    sizes = {"window": "8,8,4,16", "dilation": "1,3,2,1", "global_tokens": 2}
    shape = Shape(60, batch=2, dim=32, heads=4, level="core", dtype="float64")
    target = door.find("longformer", params=sizes)
    torch.manual_seed(0)
    module, streams = target.build(shape), target.inputs(shape)
    out, lag = module(*streams), torch.arange(60)[:, None] - torch.arange(60)
    for head, (window, dilation) in enumerate([(8, 1), (8, 3), (4, 2), (16, 1)]):
        mask = (lag.abs() <= window // 2 * dilation) & (lag % dilation == 0)
        mask[:, :2] = True
        q, k, v = (x[:, head : head + 1] for x in streams[:3])
        alone = softmax_attention(q, k, v, mask)
        torch.testing.assert_close(out[:, head, 2:], alone[:, 0, 2:], rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("causal", [False, True], ids=["both ways", "causal"])
@pytest.mark.parametrize("n", [4096, 16384])
def test_windows_by_head_execute_little_beyond_their_useful_work(n: int, causal: bool) -> None:
    for sizes in ({"window": "64,64,256,512", "dilation": "1,2,1,3"}, {"window": "512,128"}, {"dilation": "4,1"}):
        cost = count(door.find("longformer", params=sizes), Shape(n, heads=4, causal=causal), "forward").cost
        assert cost.flops_core_executed is not None
        assert cost.flops_core_useful is not None
        assert cost.flops_core_useful <= cost.flops_core_executed <= 2.5 * cost.flops_core_useful


def test_the_causal_form_has_a_window_and_no_global_tokens() -> None:
    target = door.find("longformer", params={"window": 8, "global_tokens": 3})
    shape = Shape(40, dim=16, heads=2, causal=True, dtype="float64")
    pattern = target.pattern(shape)
    assert pattern is not None
    lag = torch.arange(40)[:, None] - torch.arange(40)
    assert torch.equal(torch.from_numpy(pattern.dense()), (lag >= 0) & (lag < 8))
    assert len(target.inputs(shape.replace(level="core"))) == 3
    plain = door.find("sliding_window", params={"window": 8})
    core, streams = target.build(shape.replace(level="core")), target.inputs(shape.replace(level="core"))
    torch.testing.assert_close(core(*streams), plain.build(shape.replace(level="core"))(*streams))


def test_a_list_gives_each_share_of_the_heads_its_size() -> None:
    assert [of_head("64,512", head, 4) for head in range(4)] == [64, 64, 512, 512]
    assert [of_head("64, 512", head, 3) for head in range(3)] == [64, 64, 512]
    assert of_head(512, 5, 8) == 512
    with pytest.raises(AttnprofError, match="3 sizes for 2 heads"):
        of_head("1,2,3", 0, 2)


@pytest.mark.parametrize("text", ["64,x", "64;512", "-1,4", ""])
def test_what_is_no_list_of_sizes_is_refused_at_the_door(text: str) -> None:
    with pytest.raises(AttnprofError, match="not a list of sizes"):
        door.find("longformer", params={"window": text})


def test_other_sizes_take_no_list() -> None:
    with pytest.raises(AttnprofError, match="its default is 1"):
        door.find("longformer", params={"global_tokens": "1,2"})
