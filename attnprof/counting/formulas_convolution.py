"""Formulas of convolutions: any number of dimensions, grouped, transposed, whichever library runs them.

A weight is `[C_out, C_in / groups, *k]`, or `[C_in, C_out / groups, *k]` when transposed, so that one filter costs the
elements of `weight[0]` at every output place (every input place when transposed).
"""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace

import torch
from torch import Tensor

from attnprof.counting.formulas_matmul import multiply_add
from attnprof.counting.registry import OperatorWork, numel, register, register_by_name

aten = torch.ops.aten


def filtered(places: Tensor, weight: Tensor) -> int:
    """FLOPs of every filter at each of the places: 2 a weight a place."""
    return multiply_add(places) * numel(places.shape) * numel(weight.shape[1:])


@register_by_name(aten.convolution, aten._convolution, aten.convolution_overrideable)
def convolution(given: SimpleNamespace, out: Tensor) -> int:
    """A convolution of either kind."""
    return filtered(given.input if given.transposed else out, given.weight)


@register(
    aten.cudnn_convolution, aten.mkldnn_convolution, aten.miopen_convolution, aten.miopen_depthwise_convolution,
    aten._mps_convolution, aten._nnpack_spatial_convolution, aten._slow_conv2d_forward, aten.slow_conv3d_forward,
    aten.slow_conv_dilated2d, aten.slow_conv_dilated3d, aten._conv_depthwise2d, aten.conv_depthwise3d,
)  # fmt: skip
def forward_only(x: Tensor, weight: Tensor, *_: object, out: Tensor, **__: object) -> int:
    """A library's convolution that is not transposed."""
    return filtered(out, weight)


@register(
    aten.cudnn_convolution_relu, aten.cudnn_convolution_add_relu, aten.miopen_convolution_relu,
    aten.miopen_convolution_add_relu,
)  # fmt: skip
def activated(x: Tensor, weight: Tensor, *_: object, out: Tensor, **__: object) -> OperatorWork:
    """A convolution with a bias, an addition and a ReLU in one kernel."""
    return OperatorWork(filtered(out, weight), arith_ops=numel(out.shape))


@register(
    aten.cudnn_convolution_transpose, aten.miopen_convolution_transpose, aten._mps_convolution_transpose,
    aten.slow_conv_transpose2d, aten.slow_conv_transpose3d,
)  # fmt: skip
def transposed(x: Tensor, weight: Tensor, *_: object, out: object, **__: object) -> int:
    """A library's transposed convolution."""
    return filtered(x, weight)


@register(aten.conv_tbc)
def time_first(x: Tensor, weight: Tensor, *_: object, out: Tensor, **__: object) -> int:
    """A convolution over time of `[T, b, C_in]` with a weight `[k, C_in, C_out]`."""
    return multiply_add(x) * numel(out.shape) * numel(weight.shape[:2])


@register_by_name(aten.convolution_backward, aten.convolution_backward_overrideable)
def convolution_backward(given: SimpleNamespace, out: object) -> int:
    """As much as the forward for each of the two gradients that are asked for, groups in both."""
    places = given.input if given.transposed else given.grad_output
    return filtered(places, given.weight) * asked(given.output_mask)


@register_by_name(aten._slow_conv2d_backward, aten.mps_convolution_backward)
def backward_only(given: SimpleNamespace, out: object) -> int:
    """A library's backward of a convolution that is not transposed; three gradients are written where none is named."""
    mask = getattr(given, "output_mask", (True, True))
    return filtered(given.grad_output, given.weight) * asked(mask)


@register_by_name(aten.mps_convolution_transpose_backward)
def transposed_backward(given: SimpleNamespace, out: object) -> int:
    """A library's backward of a transposed convolution."""
    return filtered(given.self, given.weight) * asked(given.output_mask)


def asked(mask: Sequence[bool]) -> int:
    """How many of the two gradients that are products are asked for: the input's and the weight's."""
    return int(mask[0]) + int(mask[1])
