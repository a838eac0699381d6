"""Performer against the `performer-pytorch` package (1.1.4)."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from attnprof.shapes import Shape
from attnprof.targets import door

package = pytest.importorskip(
    "performer_pytorch.performer_pytorch", reason="performer-pytorch is not installed: make oracles"
)


def ours(causal: bool, kernel: str = "softmax") -> tuple[Any, tuple[Tensor, ...]]:
    """A core, and streams whose first key has the largest feature of all."""
    shape = Shape(n=100, batch=2, dim=32, heads=2, causal=causal, level="core", dtype="float64")
    target = door.find("performer", params={"features": 40, "chunk": 16, "kernel": kernel})
    torch.manual_seed(0)
    core, (q, k, v) = target.build(shape), target.inputs(shape)
    peaks = (k @ core.projection.T).amax(-1)  # type: ignore[operator, union-attr]
    first = peaks.argmax(-1)[..., None, None].expand(-1, -1, 1, k.shape[-1])
    top = k.gather(2, first)
    return core, (q, torch.cat([top, k[:, :, 1:]], 2), v)


def theirs(core: Any, causal: bool, kernel: str) -> Any:
    """The package's attention with the same projection."""
    fast = package.FastAttention(16, 40, causal=causal, generalized_attention=kernel == "relu")
    fast.projection_matrix = core.projection / 16**-0.25

    def causal_without_epsilon(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return package.causal_linear_attention_noncuda(q, k, v, eps=0.0)

    if causal:
        fast.causal_linear_fn = causal_without_epsilon
    return fast


@pytest.mark.parametrize("kernel", ["softmax", "relu"])
@pytest.mark.parametrize("causal", [False, True], ids=["both-ways", "causal"])
def test_a_core_equals_the_packages(causal: bool, kernel: str) -> None:
    """Where the first key holds the maximum, their maximum over all keys is our running one."""
    core, streams = ours(causal, kernel)
    fast = theirs(core, causal, kernel)
    torch.testing.assert_close(core(*streams), fast(*streams), rtol=1e-8, atol=1e-8)


def test_their_causal_form_sees_the_future_and_ours_does_not() -> None:
    core, (q, k, v) = ours(causal=True)
    fast = theirs(core, True, "softmax")
    later = k.clone()
    later[:, :, 90:] *= 6
    assert (fast(q, k, v) - fast(q, later, v))[:, :, :90].abs().max() > 1e-3
    assert (core(q, k, v) - core(q, later, v))[:, :, :90].abs().max() == 0
