"""Linear attention against the naive chunked form of `fla-core` (0.6.0)."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from attnprof.shapes import Shape
from attnprof.targets import door

naive = pytest.importorskip("fla.ops.linear_attn.naive", reason="fla-core is not installed: make oracles")


def test_the_causal_core_equals_the_naive_chunks() -> None:
    shape = Shape(n=192, batch=2, dim=32, heads=2, causal=True, level="core", dtype="float64")
    target = door.find("linear")
    core, streams = target.build(shape), target.inputs(shape)
    q, k, v = (x.transpose(1, 2) for x in streams)
    expected = naive.naive_chunk_linear_attn(F.elu(q) + 1, F.elu(k) + 1, v, scale=1.0, normalize=True)
    torch.testing.assert_close(core(*streams), expected.transpose(1, 2), rtol=1e-6, atol=1e-6)
