"""Neighbourhood attention by NATTEN (Hassani et al. 2024), on a line or a grid, and causal windows of other schemes.

Without causality its window never shrinks: at the ends it moves inwards, and every query reads as many keys. A sliding
window is cut off there, so that the two are one under causality alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attnprof.contracts import SchemeFacts, Spec
from attnprof.errors import Unsupported
from attnprof.impl._kernels import OutsideKernel
from attnprof.shapes import Shape
from attnprof.words import DType

if TYPE_CHECKING:
    from torch import Tensor

    from attnprof.layers.outside_kernel import KernelWork
    from attnprof.pattern import Axis, Band

WINDOWS = ("sliding_window", "dilated_window")
NEIGHBOURS = "neighbourhood"
NARROWEST = 2


class Natten(OutsideKernel):
    """`na1d` and `na2d`; under causality query i reads itself and those before it on each axis."""

    name = package = "natten"
    dtypes = (DType.FLOAT32, DType.FLOAT16, DType.BFLOAT16)

    def computes(self, scheme: SchemeFacts, shape: Shape) -> str | None:
        if scheme.maths not in (*WINDOWS, NEIGHBOURS):
            return f"it computes {', '.join(WINDOWS)} and {NEIGHBOURS}"
        if not shape.causal and scheme.maths in WINDOWS:
            return "without causality its window moves inwards at the ends, where the scheme's is cut off"
        return None if shape.groups == shape.heads else "it takes as many KV heads as query heads"

    def call(self, spec: Spec, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        lines = axes(spec)
        sizes = [line.kernel for line in lines], [line.dilation for line in lines], lines[0].causal
        if len(lines) == 1:
            row: Tensor = self.imported().na1d(
                q, k, v, kernel_size=sizes[0][0], dilation=sizes[1][0], is_causal=sizes[2]
            )
            return row
        grid = [x.reshape(len(x), *(line.length for line in lines), *x.shape[2:]) for x in (q, k, v)]
        mixed: Tensor = self.imported().na2d(
            *grid, kernel_size=tuple(sizes[0]), dilation=tuple(sizes[1]), is_causal=sizes[2]
        )
        return mixed.flatten(1, 2)

    def work(self, spec: Spec) -> KernelWork:
        from attnprof.layers.outside_kernel import softmax_work

        axes(spec)
        edges = spec.edges().expr(spec.layer).edges(spec.shape.n)
        return softmax_work(spec, edges, "unknown: exact window")


def axes(spec: Spec) -> tuple[Axis, ...]:
    """The lines that the kernel's windows lie on, rows first. Raises `Unsupported` where it takes no such window."""
    from attnprof.pattern import Axis, Neighbourhood

    expr, n = spec.edges().expr(spec.layer), spec.shape.n
    if not isinstance(expr, Neighbourhood):
        band = band_of(spec)
        return (Axis(n, kernel_size(band, n), band.dilation, causal=True),)
    lines = (expr.columns,) if expr.rows is None else (expr.rows, expr.columns)
    if expr.rows is not None and expr.rows.length * expr.columns.length != n:
        raise Unsupported(f"natten takes a whole grid, and {n} tokens leave its last row short", hint="--impl gather")
    if any(not NARROWEST <= line.kernel <= line.length // line.dilation for line in lines):
        raise Unsupported(
            f"natten's window holds {NARROWEST} keys at least, and reaches no further than its axis",
            hint="another kernel, dilation or n",
        )
    return lines


def band_of(spec: Spec) -> Band:
    """The causal band of the pattern. Raises `Unsupported` where it is another, or narrower than the kernel takes."""
    from attnprof.pattern import Band

    band = spec.edges().expr(spec.layer)
    if not isinstance(band, Band) or band.after or spec.edges().heads > 1:
        raise Unsupported("natten computes one causal band for all heads", hint="--impl gather")
    if not NARROWEST <= kernel_size(band, spec.shape.n) <= spec.shape.n // band.dilation:
        raise Unsupported(
            f"natten's window holds {NARROWEST} keys at least, and reaches no further than the sequence",
            hint="another window, or another n",
        )
    return band


def kernel_size(band: Band, n: int) -> int:
    """Keys of a query, as far as there are any."""
    return min(band.before + 1, -(-n // band.dilation))


IMPLEMENTATION = Natten()
