"""What fvcore says of the forward: an independent trace (torch.jit) with formulas of its own.

fvcore calls multiply-adds "flops", so its figure is doubled; it knows no fused attention and no backward.
"""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from attnprof.contracts import Target
from attnprof.counting.built import Built, build
from attnprof.shapes import Shape
from attnprof.torch_private import Arguments, buffers_of, parameters_of
from attnprof.words import Pass

if TYPE_CHECKING:
    from fvcore.nn import FlopCountAnalysis


def second_opinion(target: Target, shape: Shape, pass_: Pass) -> tuple[int | None, str]:
    """fvcore's FLOPs of the forward, doubled; or None and the reason.

    Traced on `meta` tensors. Fused attention and unknown operators of weight give no figure.
    """
    if pass_ != Pass.FORWARD:
        return None, f"fvcore counts a forward only, not {pass_}"
    try:
        built = build(target, shape)
        with torch.device("meta"), torch.no_grad(), _quiet():
            total, unsupported = traced(
                on_meta(built), tuple(_meta(x) if isinstance(x, Tensor) else x for x in built.inputs)
            )
    except Exception as error:
        return None, f"fvcore failed: {type(error).__name__}: {str(error).splitlines()[0][:160]}"
    fused = [name for name in unsupported if "attention" in name]
    if fused:
        return None, f"fvcore has no formula for {', '.join(fused)}"
    return total, ""


def traced(module: nn.Module, inputs: Arguments) -> tuple[int, dict[str, int]]:
    """fvcore's total in FLOPs (multiply-add = 2), and the operators that it skipped with their calls."""
    analysis = analysed(module, inputs)
    return int(2 * analysis.total()), dict(analysis.unsupported_ops())


def analysed(module: nn.Module, inputs: Arguments) -> FlopCountAnalysis:
    """fvcore's analysis of a forward, which prints nothing."""
    from fvcore.nn import FlopCountAnalysis

    analysis = FlopCountAnalysis(module, inputs)
    return analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).tracer_warnings("none")


def on_meta(built: Built) -> nn.Module:
    """The module with its fake tensors replaced by `meta` ones of the same shapes."""
    for part in built.module.modules():
        parameters, buffers = parameters_of(part), buffers_of(part)
        for name, parameter in parameters.items():
            if parameter is not None:
                parameters[name] = nn.Parameter(_meta(parameter), parameter.requires_grad)
        for name, buffer in buffers.items():
            buffers[name] = buffer if buffer is None else _meta(buffer)
    return built.module


def _meta(value: Tensor) -> Tensor:
    return torch.empty_strided(value.shape, value.stride(), dtype=value.dtype, device="meta")


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the warnings that tracing prints."""
    logger = logging.getLogger("fvcore.nn.jit_analysis")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
