"""Public attention classes get through the door as their users name them, and cost what a real run of them costs.

Oracle: `FlopCounterMode` on real tensors under the math kernel, which counts every pair, as a CPU's fused kernels do at
this n.
"""

from __future__ import annotations

import importlib.util

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from attnprof.counting.counted import count
from attnprof.counting.running import slow_path
from attnprof.shapes import Shape
from attnprof.usercode import UserCode, causality_seen
from attnprof.words import Pass
from tests.fakes.public_classes import CLASSES, PublicClass

N = 64


@pytest.mark.parametrize("public", CLASSES, ids=lambda public: f"{public.text.rpartition(':')[2]} {public.options}")
def test_a_public_class_costs_what_a_real_run_does(public: PublicClass) -> None:
    if importlib.util.find_spec(public.package) is None:
        pytest.skip(f"{public.package} is not installed")
    target = public.target()
    assert isinstance(target, UserCode)
    shape = Shape(N, dim=64, heads=4, **public.sizes)
    counted = count(target, shape, Pass.FORWARD)
    module, inputs = target.build(shape).eval(), target.inputs(shape)
    with slow_path(), sdpa_kernel(SDPBackend.MATH), torch.no_grad(), FlopCounterMode(display=False) as counter:
        module(*inputs)
    assert counted.cost.flops_executed == counter.get_total_flops() > 0
    assert causality_seen(counted.flags) is public.causal
    train = count(target, shape, Pass.TRAIN).cost
    assert train.saved_bytes is not None
    assert train.peak_bytes is not None
    assert 0 < train.saved_bytes <= train.peak_bytes


def test_there_are_many_of_them() -> None:
    assert len(CLASSES) >= 40
