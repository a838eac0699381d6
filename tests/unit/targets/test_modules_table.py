"""`docs/modules.md` has one row for each public class and model, and the rows say what is found.

A few are run here; the rest with `pytest -m slow`. Oracle of FLOPs: `FlopCounterMode` on real tensors, math kernel.
"""

from __future__ import annotations

import importlib.util
import re
import warnings

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from attnprof.checks import CheckRequest, examine
from attnprof.counting.counted import count
from attnprof.counting.running import slow_path
from attnprof.device import device_named
from attnprof.graph.analysis import Request, analyze
from attnprof.locate import PACKAGE
from attnprof.measure import measure_target
from attnprof.measure.gate import check as gate
from attnprof.shapes import Shape
from attnprof.usercode import UserCode, causality_seen, fitted
from attnprof.words import DeviceName, Pass
from tests.fakes.public_classes import CLASSES, PublicClass
from tests.fakes.whole_models import MODELS

TABLE = PACKAGE.parent / "docs" / "modules.md"
pytestmark = pytest.mark.skipif(not TABLE.exists(), reason="not run from a checkout")
ROW = re.compile(r"^\| `(.+?)` \| (.+?) \| (.+?) \|$", flags=re.MULTILINE)
EVERY = (*CLASSES, *MODELS)
QUICK = ("torch.nn:TransformerDecoderLayer", "nystrom_attention:NystromAttention")
N = 64


def told(public: PublicClass) -> str:
    """How a row names it: the text and its options, with a size that is asked of it."""
    sizes = "".join(f" --{name.replace('_', '-')} {size}" for name, size in public.sizes.items())
    return " ".join(f"{public.text} {public.options}{sizes}".split())


def rows() -> dict[str, tuple[str, str]]:
    return {name: (causality, found) for name, causality, found in ROW.findall(TABLE.read_text())}


def test_the_table_has_every_class_and_model() -> None:
    known = rows()
    assert {told(public) for public in EVERY} == set(known)
    for public in EVERY:
        assert known[told(public)][0] == ("causal" if public.causal else "bidirectional")
    assert len(CLASSES) >= 40
    assert len(MODELS) >= 15


@pytest.mark.parametrize(
    "public",
    [
        pytest.param(public, id=told(public), marks=[] if public.text in QUICK else [pytest.mark.slow])
        for public in EVERY
    ],
)
def test_a_row_says_what_every_command_finds(public: PublicClass) -> None:
    if importlib.util.find_spec(public.package) is None:
        pytest.skip(f"{public.package} is not installed")
    target = public.target()
    assert isinstance(target, UserCode)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        shape = fitted(target, Shape(N, dim=64, heads=4, **public.sizes))
        counted = count(target, shape, Pass.FORWARD)
        module, inputs = target.build(shape).eval(), target.inputs(shape)
        with slow_path(), sdpa_kernel(SDPBackend.MATH), torch.no_grad(), FlopCounterMode(display=False) as counter:
            module(*inputs)
        assert counted.cost.flops_executed == counter.get_total_flops() > 0
        assert causality_seen(counted.flags) is public.causal
        found = examine(target, shape, CheckRequest(causal=bool(public.causal), budget_s=1.0))
        assert rows()[told(public)][1] == (", ".join(sorted(found.kinds())) or "nothing")
        assert gate(target, shape, Pass.FORWARD) == {}
        outcome = measure_target(target, shape, Pass.FORWARD, device_named(DeviceName.CPU), budget_s=0.02)
        assert outcome.measured is not None
        if "input_ids" not in public.options and "x=b,n:int" not in public.options:
            edges = analyze(target, Request(n=32, dim=64, heads=4, side=0, trials=1)).facts["edges"]
            assert edges == (32 * 33 // 2 if public.causal else edges)
