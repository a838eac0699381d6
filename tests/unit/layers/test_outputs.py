"""The output of a module is one tensor, the same to the count, the gate and the clock."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from attnprof.counting.counted import count
from attnprof.device import device_named
from attnprof.errors import AttnprofError
from attnprof.layers.outputs import first_output
from attnprof.measure.gate import check
from attnprof.measure.memory import peak
from attnprof.measure.passes import passage
from attnprof.shapes import Shape
from tests.fakes.targets import FakeTarget

SHAPE = Shape(64, dim=16, heads=2)


@dataclass
class Answer:
    """A node that torch's pytree is told of: the output second, after a whole number."""

    tokens: Tensor
    hidden: Tensor


pytree.register_pytree_node(Answer, lambda a: ([a.tokens, a.hidden], None), lambda parts, _: Answer(*parts))


class Base(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(16, 16, bias=False)


class Spectrum(Base):
    """Returns a complex tensor, and then a real one twice as long that costs nothing to differentiate."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return torch.complex(self.inner(x), x), torch.cat((x, x), -1)


class Wrapped(Base):
    def forward(self, x: Tensor) -> Answer:
        return Answer(torch.zeros(3, dtype=torch.int64), self.inner(x))


@pytest.mark.parametrize(
    "output",
    [
        torch.ones(1),
        (torch.ones(1), None),
        {"ids": torch.ones(1).int(), "y": [torch.ones(1)]},
        Answer(torch.ones(1).int(), torch.ones(1)),
        (torch.ones(1, dtype=torch.complex64), torch.zeros(2)),
    ],
    ids=["tensor", "tuple", "mapping", "node", "complex first"],
)
def test_the_output_is_the_first_floating_tensor(output: Any) -> None:
    assert torch.equal(first_output(output).real, torch.ones(1))


def test_a_module_without_a_tensor_output_is_refused() -> None:
    with pytest.raises(AttnprofError, match="no floating-point tensor"):
        first_output((None, torch.ones(1).int()))


@pytest.mark.parametrize("kind", [Spectrum, Wrapped])
def test_what_is_counted_is_what_is_checked_and_timed(kind: type[nn.Module]) -> None:
    target = FakeTarget(wrong=lambda shape: kind(), oracle=False)
    counted = count(target, SHAPE, "train").cost  # type: ignore[arg-type]
    assert check(target, SHAPE, "train") == {}  # type: ignore[arg-type]
    module, x = kind(), torch.randn(1, 64, 16)
    ready = passage(module, (x,), "train")  # type: ignore[arg-type]
    found = peak(ready, device_named("cpu"))
    assert counted.saved_bytes == ready.saved_bytes
    assert counted.peak_bytes == found.peak_bytes
    assert counted.flops_executed == 3 * 2 * 64 * 16 * 16
