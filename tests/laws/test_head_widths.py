"""Heads of a width of their own, which the model's width says nothing of, and values of another width than keys.

Whatever takes them computes what its reference does, its work is what it states, and the others refuse in one line.
"""

from __future__ import annotations

import pytest
import torch

import attnprof
from attnprof.counting import count
from attnprof.errors import AttnprofError, Unsupported
from attnprof.measure.gate import distance
from attnprof.records import Point
from attnprof.shapes import Shape, checked
from attnprof.targets import catalog, door
from attnprof.words import DType, Level, Maths, Pass
from tests.laws.cases import Case, as_params, cases
from tests.laws.work import stated

WIDTHS = {"wide heads": {"head_dim": 12}, "narrow values": {"v_head_dim": 4}, "both": {"head_dim": 6, "v_head_dim": 10}}
EACH = [pytest.param(name, marks=pytest.mark.slow) if name == "narrow values" else name for name in WIDTHS]
CASES = [case for case in cases(varied=False) if case.impl != "masked" or case.name == "sliding_window"]


def shape_of(case: Case, widths: str, n: int = 100) -> Shape:
    return checked(Shape(n, dim=16, heads=2, causal=case.causal, dtype=DType.FLOAT64, **WIDTHS[widths]))


def takes(case: Case, widths: str) -> bool:
    """Whether a scheme has values of their own width: dense attention and whatever is a pattern alone do."""
    card = catalog.card(case.name)
    return "v_head_dim" not in WIDTHS[widths] or card.v_head_dim or card.maths is Maths.PATTERN


@pytest.mark.parametrize("widths", EACH)
@pytest.mark.parametrize("case", as_params(CASES))
def test_what_takes_the_widths_computes_with_them(case: Case, widths: str) -> None:
    target, shape = case.target, shape_of(case, widths)
    if not takes(case, widths):
        with pytest.raises(Unsupported, match="as wide as keys"):
            target.build(shape)
        return
    module, reference = target.build(shape).eval(), target.reference(shape).eval()
    reference.load_state_dict(module.state_dict())
    torch.manual_seed(0)
    inputs = target.inputs(shape)
    torch.manual_seed(1)
    got = module(*inputs)
    torch.manual_seed(1)
    assert distance(got, reference(*inputs)) < 1e-9


@pytest.mark.parametrize("widths", EACH)
@pytest.mark.parametrize("case", as_params(CASES))
def test_the_work_stated_is_the_work_executed(case: Case, widths: str) -> None:
    target, shape = case.target, shape_of(case, widths, 96).replace(dtype=DType.FLOAT32)
    if takes(case, widths) and case.impl != "masked":
        assert count(target, shape, Pass.FORWARD).cost.flops_core_executed == stated(target, shape)


def test_projections_and_state_have_the_widths() -> None:
    shape = Shape(256, dim=64, heads=4, kv_heads=2, head_dim=32, v_head_dim=8, causal=True)
    cost = count(door.find("dense"), shape, Pass.FORWARD).cost
    q, k, v, out = 64 * 4 * 32, 64 * 2 * 32, 64 * 2 * 8, 4 * 8 * 64
    assert cost.param_bytes == 4 * (q + k + v + out)
    assert cost.flops_core_useful == 2 * (32 + 8) * 4 * (256 * 257 // 2)
    assert cost.flops_paper is None
    decoded = count(door.find("dense"), shape, Pass.DECODE).cost
    assert decoded.state_bytes == 4 * 256 * 2 * (32 + 8)


def test_heads_of_their_own_width_need_not_divide_the_model() -> None:
    cost = attnprof.count("dense", n=128, dim=100, heads=8, head_dim=16).cost
    assert cost.flops_core_executed == 4 * 128 * 128 * 8 * 16
    with pytest.raises(AttnprofError, match="8 heads do not divide the width 100") as refused:
        attnprof.count("dense", n=128, dim=100, heads=8)
    assert "--head-dim" in refused.value.hint


def test_equal_shapes_are_equal_and_records_hold_the_widths() -> None:
    assert Shape(64, dim=64, heads=4, head_dim=16, v_head_dim=16) == Shape(64, dim=64, heads=4)
    shape = Shape(64, dim=64, heads=4, head_dim=24, v_head_dim=8, level=Level.CORE)
    data = Point("dense", shape).to_json()
    assert (data["head_dim"], data["v_head_dim"]) == (24, 8)
    assert Point.from_json(data).shape == shape
