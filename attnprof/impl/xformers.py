"""Memory-efficient attention by xformers (Rabe and Staats 2021): dense, causal or in a window."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attnprof.contracts import SchemeFacts, Spec
from attnprof.impl._kernels import FusedSoftmax
from attnprof.shapes import Shape
from attnprof.words import DType

if TYPE_CHECKING:
    from torch import Tensor

HALVES = (DType.FLOAT16, DType.BFLOAT16)


class Xformers(FusedSoftmax):
    """`memory_efficient_attention` with a mask that is described, not stored; groups of heads are a fifth axis."""

    name = package = "xformers"
    dtypes = (DType.FLOAT32, *HALVES)

    def computes(self, scheme: SchemeFacts, shape: Shape) -> str | None:
        if scheme.maths == "sliding_window" and shape.dtype not in HALVES:
            return f"it takes {' and '.join(HALVES)} under a window, not {shape.dtype}"
        return super().computes(scheme, shape)

    def call(self, spec: Spec, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        groups = k.shape[2]
        if groups < q.shape[2]:
            q = q.reshape(*q.shape[:2], groups, -1, q.shape[3])
            k, v = (x.unsqueeze(3).expand(-1, -1, -1, q.shape[3], -1) for x in (k, v))
        found: Tensor = self.imported("ops").memory_efficient_attention(q, k, v, attn_bias=self._bias(spec))
        return found.flatten(2, 3) if found.ndim > 4 else found

    def _bias(self, spec: Spec) -> object:
        band, masks = self.band(spec), self.imported("ops.fmha.attn_bias")
        if band is not None:
            return masks.LocalAttentionFromBottomRightMask(window_left=band.before, window_right=band.after)
        return masks.LowerTriangularFromBottomRightMask() if spec.shape.causal else None


IMPLEMENTATION = Xformers()
