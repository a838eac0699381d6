"""The predicted peak against the allocator's own events, for the operators that attention is made of."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from attnprof.counting import count
from attnprof.shapes import Shape
from attnprof.words import Pass
from tests.unit.counting.allocator import measured_peak
from tests.unit.counting.modules import ModuleTarget

H, N, D = 4, 512, 32


class Core(nn.Module):
    """A function of q, k, v as a module."""

    def __init__(self, function: Callable[..., Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *streams: Tensor) -> Tensor:
        return self.function(*streams)


class Layer(nn.Module):
    """Projections around a core, with a residual."""

    def __init__(self, core: Callable[..., Tensor]) -> None:
        super().__init__()
        self.q, self.k, self.v, self.o = (nn.Linear(H * D, H * D, bias=False) for _ in range(4))
        self.core = core

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (f(x).unflatten(-1, (H, D)).transpose(1, 2) for f in (self.q, self.k, self.v))
        return x + self.o(self.core(q, k, v).transpose(1, 2).flatten(2))


def explicit(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return ((q @ k.transpose(-1, -2)) * D**-0.5).softmax(-1) @ v


def masked(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    future = torch.ones(q.shape[2], k.shape[2], dtype=torch.bool).triu(1)
    return (q @ k.transpose(-1, -2)).masked_fill(future, float("-inf")).softmax(-1) @ v


def kernel(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    q, k = F.elu(q) + 1, F.elu(k) + 1
    return (q @ (k.transpose(-1, -2) @ v)) / (q * k.sum(-2, keepdim=True)).sum(-1, keepdim=True)


def prefix(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    kept = torch.arange(0, k.shape[2], 2)
    return (q * k.cumsum(2)).softmax(-1) + v.index_select(2, kept).repeat_interleave(2, 2)


def windows(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    blocks = k.unfold(2, 64, 64).transpose(-1, -2)
    scores = q.unflatten(2, (-1, 64)) @ blocks.transpose(-1, -2)
    return (scores.softmax(-1) @ v.unflatten(2, (-1, 64))).flatten(2, 3)


def strided(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return (q[..., ::2] @ k[..., ::2].transpose(-1, -2)).softmax(-2) @ v


def selected(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    best = (q @ k.transpose(-1, -2)).topk(16, -1)
    rows = best.indices.flatten(2)[..., None].expand(-1, -1, -1, v.shape[-1])
    picked = v.gather(2, rows).unflatten(2, (q.shape[2], 16))
    return (best.values.softmax(-1)[..., None] * picked).sum(-2)


def scattered(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    bucket = torch.arange(v.shape[2]) // 8
    pooled = torch.zeros_like(v[:, :, : v.shape[2] // 8]).index_add(2, bucket, v)
    return (q @ pooled.transpose(-1, -2)).logsumexp(-1, keepdim=True) * k.flip(2)


def padded(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return (F.pad(q, (0, 0, 3, 5)) * F.pad(k, (0, 0, 5, 3)))[:, :, 4:-4] + v.roll((1, 2), (2, 3))


def dropped(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return F.dropout((q @ k.transpose(-1, -2)).softmax(-1), 0.1, True) @ v


def spectral(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return torch.fft.irfft(torch.fft.rfft(q, dim=2) * torch.fft.rfft(k, dim=2), dim=2) + v


def normalised(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return F.layer_norm(q, (D,)) + F.rms_norm(k, (D,)) + F.normalize(v, dim=-1) + F.gelu(v)


def wide(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Values narrower than keys: SDPA takes its explicit path, with a softmax of its own where nothing is to learn."""
    return F.scaled_dot_product_attention(torch.cat([q, k], -1), torch.cat([k, q], -1), v)


def wide_causal(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return F.scaled_dot_product_attention(torch.cat([q, k], -1), torch.cat([k, q], -1), v, is_causal=True)


def ordered(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    order = (q * k).sum(-1).sort(-1).indices
    return v.gather(2, order[..., None].expand(v.shape))


def mixed(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Truth values and half precision among single precision: kernels copy what is not of the common type."""
    near = (torch.arange(q.shape[2])[:, None] - torch.arange(k.shape[2])).abs() < 64
    scores = (q @ k.transpose(-1, -2)) * near
    counts = near.sum(-1, keepdim=True)
    return (scores.bfloat16() * near).softmax(-1, dtype=torch.float32) @ (v * q.bfloat16()) / counts


EAGER = [
    explicit, masked, kernel, prefix, windows, strided, selected, scattered, padded, dropped, spectral, normalised,
    wide, wide_causal, ordered, mixed,
]  # fmt: skip


def streams() -> tuple[Tensor, ...]:
    return tuple(torch.randn(1, H, N, D) for _ in range(3))


def rows() -> tuple[Tensor, ...]:
    return (torch.randn(2, N, H * D),)


def error(make: Callable[[], nn.Module], feed: Callable[[], tuple[Tensor, ...]], pass_: Pass) -> float:
    predicted = count(ModuleTarget(make, feed), Shape(N), pass_).cost.peak_bytes
    measured = measured_peak(make().train(pass_ == "train"), feed(), pass_)
    assert predicted is not None
    return abs(predicted - measured) / measured


@pytest.mark.parametrize("pass_", ["forward", "train"])
@pytest.mark.parametrize("core", EAGER, ids=lambda f: f.__name__)
def test_peak_of_an_eager_core_is_the_allocators(core: Callable[..., Tensor], pass_: Pass) -> None:
    assert error(lambda: Core(core), streams, pass_) < 1e-3


@pytest.mark.parametrize("pass_", ["forward", "train"])
@pytest.mark.parametrize("core", [explicit, kernel, windows], ids=lambda f: f.__name__)
def test_peak_of_an_eager_layer_is_the_allocators(core: Callable[..., Tensor], pass_: Pass) -> None:
    assert error(lambda: Layer(core), rows, pass_) < 1e-3


@pytest.mark.parametrize("pass_", ["forward", "train"])
@pytest.mark.parametrize("causal", [False, True], ids=["full", "causal"])
def test_peak_of_fused_attention_knows_the_kernels_buffers(causal: bool, pass_: Pass) -> None:
    def fused(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return F.scaled_dot_product_attention(q, k, v, is_causal=causal)

    assert error(lambda: Core(fused), streams, pass_) < 1e-2


@pytest.mark.parametrize("pass_", ["forward", "train"])
def test_peak_of_a_convolution_knows_the_layout_copies(pass_: Pass) -> None:
    make = lambda: nn.Conv1d(64, 128, 3, padding=1)  # noqa: E731
    # oneDNN chooses layouts by processor and threads: which copies it makes is known, not all of their sizes
    assert error(make, lambda: (torch.randn(2, 64, 1024),), pass_) < 5e-2


class Depthwise(nn.Module):
    """Explicit attention with a depthwise convolution of the values over tokens beside it (Xiong et al. 2021)."""

    def __init__(self) -> None:
        super().__init__()
        self.local = nn.Conv2d(H, H, (33, 1), padding=(16, 0), groups=H, bias=False)

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        summed = q.mean(2, keepdim=True) + k.mean(2, keepdim=True)
        return summed * v + self.local(v)


def transposed_streams() -> tuple[Tensor, ...]:
    return tuple(torch.randn(1, N, H, D).transpose(1, 2) for _ in range(3))


@pytest.mark.parametrize("feed", [streams, transposed_streams], ids=["as it lies", "transposed"])
def test_a_depthwise_convolution_is_estimated_and_its_workspace_named(feed: Callable[[], tuple[Tensor, ...]]) -> None:
    assert error(Depthwise, feed, "forward") < 5e-2
    counted = count(ModuleTarget(Depthwise, feed), Shape(N), "forward")
    assert counted.cost.certificate is not None
    assert counted.cost.certificate.unknown_workspaces == ("convolution",)
    assert "workspace_unknown" in counted.flags


@pytest.mark.parametrize("core", EAGER, ids=lambda f: f.__name__)
def test_an_exact_peak_names_no_workspace(core: Callable[..., Tensor]) -> None:
    counted = count(ModuleTarget(lambda: Core(core), streams), Shape(N), "train")
    assert counted.cost.certificate is not None
    assert counted.cost.certificate.unknown_workspaces == ()
    assert counted.flags == ()
