"""Public models as executing stacks: their products, to the unit, are those that their configurations come to."""

from __future__ import annotations

from functools import partial

import pytest

import attnprof
from attnprof.counting import count
from attnprof.counting.added import CountedPart, count_parts, summed
from attnprof.layered_target import LayeredTarget
from attnprof.shapes import Shape
from attnprof.words import DType, Level, PartRole, Pass

N = 8192


def parts(text: str, n: int = N, level: Level = Level.BLOCK, pass_: Pass = Pass.FORWARD) -> list[CountedPart]:
    target = attnprof.target(text)
    assert isinstance(target, LayeredTarget)
    shape = target.fitted(Shape(n=n, causal=True, level=level, dtype=DType.BFLOAT16), ())
    return count_parts(target, shape, pass_, partial(count, core=True))


MODELS = {
    # 24 layers, window 128 and full in turn, 64 heads of 64 over 8, width 2,880; 32 experts, 4 of them active
    "gpt-oss-20b": (
        "1 sliding_window window=128 + 1 flash ; layers=24 dim=2880 heads=64 kv_heads=8 head_dim=64 ffn=moe width=2880 "
        "experts=32 active=4 vocab=201088",
        {
            "projections": 1_274_019_840,
            "experts and router": 4_777_574_400 + 4_423_680,
            "head": 1_158_266_880,
            "useful core": 6_802_435_473_408,
        },
    ),
    # 62 layers, five windows of 1,024 and one full, cut after two; 32 heads of 128 over 16
    "gemma-3-27b": (
        "5 sliding_window window=1024 + 1 flash ; layers=62 dim=5376 heads=32 kv_heads=16 head_dim=128 ffn=glu "
        "width=21504",
        {
            "projections": 8_191_475_712,
            "experts and router": 43_005_247_488,
            "head": 0,
            "useful core": 12_198_814_416_896,
        },
    ),
}


@pytest.mark.parametrize("name", MODELS)
def test_products_of_public_models(name: str) -> None:
    """Per token, but for the core, which is of the whole sequence; a multiply-add is 2."""
    text, figures = MODELS[name]
    found = parts(text)
    by_role = {role: summed([each for each in found if each.part.role is role])[0] for role in PartRole}
    mixers = by_role[PartRole.MIXER]
    assert mixers["flops_executed"] - mixers["flops_core_executed"] == N * figures["projections"]
    assert by_role[PartRole.REST]["flops_executed"] == N * figures["experts and router"]
    assert by_role[PartRole.ENDS]["flops_executed"] == N * figures["head"]
    assert mixers["flops_core_useful"] == figures["useful core"]


def test_the_cache_of_layers_that_reuse_others() -> None:
    """Gemma 3n: of 35 layers the last 15 reuse keys and values; the others keep 2 g d numbers of bfloat16 a token."""
    text = (
        "(4 sliding_window window=512 + 1 dense ; layers=20) + (4 sliding_window window=512 shares_kv=true "
        "+ 1 dense shares_kv=true ; layers=15) ; dim=2048 heads=8 kv_heads=2 head_dim=256"
    )
    below, beyond = (summed(parts(text, n, Level.ATTENTION, Pass.DECODE))[0] for n in (256, 1024))
    assert below["state_growth_bytes"] == 40_960
    assert below["state_bytes"] == 256 * 40_960
    assert beyond["state_growth_bytes"] == 4 * 2_048
    assert beyond["state_bytes"] == 16 * 512 * 2_048 + 4 * 1024 * 2_048
