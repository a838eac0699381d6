"""Low rank, kernels and recurrence: at least as fast as the public implementation that runs on a CPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from attnprof.shapes import Shape
from attnprof.targets import door
from tests.bench.ratios import benchmarked, passes

pytestmark = pytest.mark.slow
NOISE = 0.9
Call = Callable[..., Tensor]


def linformer(n: int) -> Call:
    """The layer of the `linformer` package."""
    package = pytest.importorskip("linformer", reason="linformer is not installed")
    return package.LinformerSelfAttention(512, n, heads=8, k=256)


def performer(causal: bool) -> Call:
    """The core of `performer-pytorch`."""
    package = pytest.importorskip("performer_pytorch", reason="performer-pytorch is not installed")
    return package.FastAttention(64, 256, causal=causal)


def linear() -> Call:
    """The chunked core of `fla-core`, normalised."""
    naive = pytest.importorskip("fla.ops.linear_attn.naive", reason="fla-core is not installed")

    def mixed(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        rows = (x.transpose(1, 2) for x in (F.elu(q) + 1, F.elu(k) + 1, v))
        return naive.naive_chunk_linear_attn(*rows, scale=1.0, normalize=True)

    return mixed


def compressed() -> Call:
    """The layer of `memory-compressed-attention`."""
    package = pytest.importorskip("memory_compressed_attention", reason="memory-compressed-attention is not installed")
    return package.MemoryCompressedAttention(512, heads=8, causal=True, compression_factor=3)


def against(
    benchmark: Any, theirs: Call, ours: nn.Module, inputs: tuple[Tensor, ...], pass_: str, scheme: str
) -> float:
    """How many times as long theirs takes on the same inputs."""
    turns = passes(theirs, inputs, pass_), passes(ours, inputs, pass_)
    return benchmarked(benchmark, *turns, scheme=scheme, n=inputs[0].shape[-2], pass_=pass_)


@pytest.mark.parametrize("pass_", ["forward", "train"])
@pytest.mark.parametrize("n", [4096, 16384])
def test_linformer_is_as_fast_as_its_package(benchmark: Any, n: int, pass_: str) -> None:
    target, shape = door.find("linformer"), Shape(n=n)
    torch.manual_seed(0)
    assert against(benchmark, linformer(n), target.build(shape), target.inputs(shape), pass_, "linformer") >= NOISE


@pytest.mark.parametrize("pass_", ["forward", "train"])
@pytest.mark.parametrize(("n", "causal"), [(4096, False), (16384, False), (1024, True)])
def test_performer_is_as_fast_as_its_package(benchmark: Any, n: int, causal: bool, pass_: str) -> None:
    """Their causal form keeps n m d numbers: 17 GB at 16k in training, so it is asked for 1024."""
    target, shape = door.find("performer"), Shape(n=n, causal=causal, level="core")
    torch.manual_seed(0)
    assert against(benchmark, performer(causal), target.build(shape), target.inputs(shape), pass_, "performer") >= NOISE


@pytest.mark.parametrize("pass_", ["forward", "train"])
@pytest.mark.parametrize("n", [4096, 16384])
def test_linear_attention_is_as_fast_as_naive_chunks(benchmark: Any, n: int, pass_: str) -> None:
    target, shape = door.find("linear"), Shape(n=n, causal=True, level="core")
    torch.manual_seed(0)
    assert against(benchmark, linear(), target.build(shape), target.inputs(shape), pass_, "linear") >= NOISE


@pytest.mark.parametrize("pass_", ["forward", "train"])
@pytest.mark.parametrize("n", [4096, 16384])
def test_compressed_attention_is_as_fast_as_its_package(benchmark: Any, n: int, pass_: str) -> None:
    """The compressed layer alone, without the local one before it, pooled by a learned convolution."""
    target, shape = door.find("pooled", params={"pooling": "conv"}), Shape(n=n, causal=True)
    torch.manual_seed(0)
    assert against(benchmark, compressed(), target.build(shape), target.inputs(shape), pass_, "pooled") >= NOISE
