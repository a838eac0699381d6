"""Memory-efficient attention by xformers (Rabe and Staats 2021): dense, causal or in a window."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attnprof.contracts import SchemeFacts, Spec
from attnprof.impl._kernels import OutsideKernel
from attnprof.records import Shape
from attnprof.words import DType

if TYPE_CHECKING:
    from attnprof.layers.outside_kernel import KernelWork

SCHEMES = ("dense", "sliding_window")
HALVES = (DType.FLOAT16, DType.BFLOAT16)


class Xformers(OutsideKernel):
    """`memory_efficient_attention` with a mask that is described, not stored; groups of heads are a fifth axis."""

    name = package = "xformers"
    dtypes = (DType.FLOAT32, *HALVES)

    def computes(self, scheme: SchemeFacts, shape: Shape) -> str | None:
        if scheme.maths not in SCHEMES:
            return f"it computes {' and '.join(SCHEMES)}"
        if scheme.maths != "dense" and shape.dtype not in HALVES:
            return f"it takes {' and '.join(HALVES)} under a window, not {shape.dtype}"
        return None

    def call(self, spec: Spec, q: Any, k: Any, v: Any) -> Any:
        groups = k.shape[2]
        if groups < q.shape[2]:
            q = q.unflatten(2, (groups, -1))
            k, v = (x.unsqueeze(3).expand(-1, -1, -1, q.shape[3], -1) for x in (k, v))
        found = self.imported("ops").memory_efficient_attention(q, k, v, attn_bias=self._bias(spec))
        return found.flatten(2, 3) if found.ndim > 4 else found

    def _bias(self, spec: Spec) -> Any:
        from attnprof.layers.outside_kernel import band_pairs

        _, band = band_pairs(spec)
        masks = self.imported("ops.fmha.attn_bias")
        if band is not None:
            return masks.LocalAttentionFromBottomRightMask(window_left=band.before, window_right=band.after)
        return masks.LowerTriangularFromBottomRightMask() if spec.shape.causal else None

    def work(self, spec: Spec) -> KernelWork:
        from attnprof.layers.outside_kernel import band_pairs, softmax_work

        return softmax_work(spec, band_pairs(spec)[0], "unknown: exact band, aligned bottom right")


IMPLEMENTATION = Xformers()
