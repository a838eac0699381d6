"""Neighbourhood attention by NATTEN (Hassani et al. 2024), where its window is a scheme's: causal, in one dimension.

Without causality its window never shrinks: at the ends it moves inwards, and every query reads as many keys. The
schemes here cut it off, so that the two differ in their first and last rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attnprof.contracts import SchemeFacts, Spec
from attnprof.errors import Unsupported
from attnprof.impl._kernels import OutsideKernel
from attnprof.shapes import Shape
from attnprof.words import DType

if TYPE_CHECKING:
    from attnprof.layers.outside_kernel import KernelWork
    from attnprof.pattern import Band

SCHEMES = ("sliding_window", "dilated_window")
NARROWEST = 2


class Natten(OutsideKernel):
    """`na1d`: under causality query i reads itself and those before it, `kernel_size` at most, `dilation` apart."""

    name = package = "natten"
    dtypes = (DType.FLOAT32, DType.FLOAT16, DType.BFLOAT16)

    def computes(self, scheme: SchemeFacts, shape: Shape) -> str | None:
        if scheme.maths not in SCHEMES:
            return f"it computes {' and '.join(SCHEMES)}"
        if not shape.causal:
            return "without causality its window moves inwards at the ends, where the scheme's is cut off"
        return None if shape.groups == shape.heads else "it takes as many KV heads as query heads"

    def call(self, spec: Spec, q: Any, k: Any, v: Any) -> Any:
        band = band_of(spec)
        size = kernel_size(band, spec.shape.n)
        return self.imported().na1d(q, k, v, kernel_size=size, dilation=band.dilation, is_causal=True)

    def work(self, spec: Spec) -> KernelWork:
        from attnprof.layers.outside_kernel import softmax_work

        return softmax_work(spec, band_of(spec).slices(spec.shape.n).edges, "unknown: exact band")


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
