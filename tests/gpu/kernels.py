"""The linear recurrences of the catalogue beside the chunk kernels of fla, on the same q, k and v."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from attnprof.shapes import Shape
from tests.gpu.sheet import why

Extras = Callable[[Tensor], Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Kernel:
    """One function of fla: the scheme that it computes, where it is, its name there, and what it takes beside q, k, v.

    `positive` applies the feature map elu + 1 to q and k first, as the scheme does; `unit` scales k to length 1.
    """

    scheme: str
    module: str
    function: str
    extras: Extras
    positive: bool = False
    unit: bool = False


def nothing(k: Tensor) -> Mapping[str, Any]:
    """No gates."""
    return {}


def forget_channels(k: Tensor) -> Mapping[str, Any]:
    """Log gates of every key channel, `[b, n, h, d]`."""
    return {"g": F.logsigmoid(torch.randn_like(k))}


def forget_heads(k: Tensor) -> Mapping[str, Any]:
    """Log gates of every head, `[b, n, h]`, in float32."""
    return {"g": F.logsigmoid(torch.randn(k.shape[:3], device=k.device))}


def write(k: Tensor) -> Mapping[str, Any]:
    """Write strengths of every head, `[b, n, h]`."""
    return {"beta": torch.rand(k.shape[:3], device=k.device).to(k.dtype)}


def write_and_forget(k: Tensor) -> Mapping[str, Any]:
    """Both."""
    return {**write(k), **forget_heads(k)}


def layer(k: Tensor) -> Mapping[str, Any]:
    """Decay by the place of the layer: the middle of 12."""
    return {"layer_idx": 6, "num_layers": 12}


def normalised(k: Tensor) -> Mapping[str, Any]:
    """Divided by the sum of weights, not by sqrt(d)."""
    return {"scale": 1.0, "normalize": True}


KERNELS: tuple[Kernel, ...] = (
    Kernel("linear", "fla.ops.linear_attn", "chunk_linear_attn", normalised, positive=True),
    Kernel("retnet", "fla.ops.retention", "chunk_retention", nothing),
    Kernel("gla", "fla.ops.gla", "chunk_gla", forget_channels),
    Kernel("lightning", "fla.ops.lightning_attn", "chunk_lightning_attn", layer),
    Kernel("mamba2", "fla.ops.simple_gla", "chunk_simple_gla", forget_heads),
    Kernel("deltanet", "fla.ops.delta_rule", "chunk_delta_rule", write, unit=True),
    Kernel("gated_deltanet", "fla.ops.gated_delta_rule", "chunk_gated_delta_rule", write_and_forget, unit=True),
)


class Chunked(nn.Module):
    """`q, k, v [b, h, n, d]` by one of fla's kernels, whose layout is `[b, n, h, d]`; gates are drawn once."""

    def __init__(self, kernel: Kernel, call: Callable[..., Any]) -> None:
        super().__init__()
        self.kernel, self.call = kernel, call
        self.given: Mapping[str, Any] | None = None

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        if self.kernel.positive:
            q, k = F.elu(q) + 1, F.elu(k) + 1
        if self.kernel.unit:
            k = F.normalize(k, dim=-1)
        q, k, v = (x.transpose(1, 2).contiguous() for x in (q, k, v))
        if self.given is None:
            self.given = self.kernel.extras(k.detach())
        return self.call(q, k, v, **self.given)[0].transpose(1, 2)


def load(kernel: Kernel, device: str) -> tuple[Chunked | None, str]:
    """The kernel, or why it is not there."""
    if importlib.util.find_spec("fla") is None:
        return None, "fla-core is not installed: give its wheel by WHEELS"
    if device == "cpu":
        return None, "fla's chunk kernels are written in Triton, which needs a GPU"
    try:
        call = getattr(importlib.import_module(kernel.module), kernel.function)
    except Exception as error:  # whatever another package raises when it is imported
        return None, f"fla does not load: {why(error)}"
    return Chunked(kernel, call), ""


def recurrence_flops(shape: Shape, pass_: str) -> int:
    """The least work of a d x d state: n times a rank-one update and a read, 2 d^2 each a head; train three times."""
    once = shape.batch * shape.heads * shape.n * 4 * shape.d**2
    return 3 * once if pass_ == "train" else once
