"""transformers' models, which ask whether they are traced: a count must be what an eager run does.

Oracles: `FlopCounterMode` under the math kernel (every pair), torch's hooks for saved bytes, the allocator for peaks;
hand values where a causal kernel skips tiles. The adapters stand in until modules have a door of their own.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from attnprof.counting.counted import count
from attnprof.shapes import Shape
from attnprof.targets import door
from attnprof.targets.usage import Usage
from attnprof.usercode import UserCode
from attnprof.words import Pass

pytest.importorskip("transformers")
from tests.fakes.saved_hooks import saved_by_hooks
from tests.unit.counting.allocator import measured_peak

OWN = Path(__file__).parents[2] / "fakes" / "public_models.py"
MODELS = ("Llama", "Mistral", "Bert", "Nystromformer", "Longformer")
SHAPE = Shape(128, dim=64)


def found(name: str) -> UserCode:
    target = door.find(f"{OWN}:{name}", usage=Usage(arguments={"length": "{n}"}))
    assert isinstance(target, UserCode)
    return target


@pytest.mark.parametrize("name", MODELS)
def test_flops_are_those_of_a_real_run(name: str) -> None:
    target = found(name)
    counted = count(target, SHAPE, Pass.FORWARD)
    with sdpa_kernel(SDPBackend.MATH), torch.no_grad(), FlopCounterMode(display=False) as counter:
        target.build(SHAPE).eval()(*target.inputs(SHAPE))
    assert counted.cost.flops_executed == counter.get_total_flops()


@pytest.mark.parametrize("name", MODELS)
def test_bytes_are_those_of_a_real_run(name: str) -> None:
    target = found(name)
    cost = count(target, SHAPE, Pass.TRAIN).cost
    assert cost.saved_bytes == saved_by_hooks(target.build(SHAPE).train(), target.inputs(SHAPE))
    for pass_ in (Pass.FORWARD, Pass.TRAIN):
        predicted = count(target, SHAPE, pass_).cost.peak_bytes
        measured = measured_peak(target.build(SHAPE).train(pass_ is Pass.TRAIN), target.inputs(SHAPE), pass_)
        assert predicted == pytest.approx(measured, rel=0.01)


def test_a_causal_model_at_a_length_where_its_mask_would_show() -> None:
    """LlamaModel, 2 layers, D = 512, h = 8, g = 2, n = 1,024: real values of an independent check.

    Core: causal, by the CPU kernel's 4 blocks of 256 queries: 2 x 512 + 2 x 1,024 keys, 786,432 pairs of a head, 4 d
    FLOPs each: 4 x 64 x 786,432 x 8 heads x 2 layers. With a mask, which fake tensors bring, it would be all pairs.
    """
    target = door.find(f"{OWN}:Llama", usage=Usage(arguments={"dim": 512, "inner": 1024}))
    shape = Shape(1024)
    forward, train = (count(target, shape, pass_).cost for pass_ in (Pass.FORWARD, Pass.TRAIN))
    assert forward.flops_core_executed == 4 * 64 * 786_432 * 8 * 2 == 3_221_225_472
    assert forward.peak_bytes == 19_406_848
    assert (train.saved_bytes, train.peak_bytes) == (74_010_624, 82_397_184)


@pytest.mark.parametrize(
    ("name", "real"), [("Llama", False), ("Bert", False), ("Nystromformer", False), ("Longformer", True)]
)
def test_fake_tensors_do_where_they_can_be_made_to(name: str, real: bool) -> None:
    counted = count(found(name), SHAPE, Pass.FORWARD)
    assert ("counted_on_real_tensors" in counted.flags) is real


def test_the_library_is_as_it_was_afterwards() -> None:
    from transformers import masking_utils

    before = dict(vars(masking_utils))
    count(found("Llama"), SHAPE, Pass.FORWARD)
    assert dict(vars(masking_utils)) == before
