"""Formulas of Fourier transforms, by the usual convention: 5 N log2 N real operations for N complex points."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from attnprof.counting.registry import numel, register

aten = torch.ops.aten


def transform_flops(points: int, batch: int, per_point: float) -> int:
    """`per_point * N log2 N` FLOPs for each of `batch` transforms of N `points`, rounded once."""
    return round(per_point * points * math.log2(points) * batch) if points > 1 else 0


@register(aten._fft_c2c)
def complex_to_complex(x: Tensor, dims: list[int], *_: object, out: object, **__: object) -> int:
    """5 N log2 N for N complex points."""
    points = numel(x.shape[d] for d in dims)
    return transform_flops(points, numel(x.shape) // points, 5)


@register(aten._fft_r2c)
def real_to_complex(x: Tensor, dims: list[int], *_: object, out: object, **__: object) -> int:
    """Half of a complex transform: 2.5 N log2 N for N real points."""
    points = numel(x.shape[d] for d in dims)
    return transform_flops(points, numel(x.shape) // points, 2.5)


@register(aten._fft_c2r)
def complex_to_real(x: Tensor, dims: list[int], *_: object, out: Tensor, **__: object) -> int:
    """Half of a complex transform: 2.5 N log2 N for N real points."""
    points = numel(out.shape[d] for d in dims)
    return transform_flops(points, numel(out.shape) // points, 2.5)
