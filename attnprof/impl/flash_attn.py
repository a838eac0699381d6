"""FlashAttention-2 by its authors' package (Dao 2023): dense attention and sliding windows, with fewer KV heads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attnprof.contracts import SchemeFacts, Spec
from attnprof.impl._kernels import OutsideKernel
from attnprof.records import Shape

if TYPE_CHECKING:
    from attnprof.layers.outside_kernel import KernelWork

SCHEMES = ("dense", "sliding_window")
WIDEST_HEAD = 256


class FlashAttn(OutsideKernel):
    """`flash_attn_func`, which aligns both masks at the last key; its window counts keys beside the query's own."""

    name = package = "flash_attn"

    def computes(self, scheme: SchemeFacts, shape: Shape) -> str | None:
        if scheme.maths not in SCHEMES:
            return f"it computes {' and '.join(SCHEMES)}"
        return None if shape.head_dim <= WIDEST_HEAD else f"its heads are at most {WIDEST_HEAD} wide"

    def call(self, spec: Spec, q: Any, k: Any, v: Any) -> Any:
        from attnprof.layers.outside_kernel import band_pairs

        _, band = band_pairs(spec)
        window = (-1, -1) if band is None else (band.before, band.after)
        return self.imported().flash_attn_func(q, k, v, causal=spec.shape.causal, window_size=window)

    def work(self, spec: Spec) -> KernelWork:
        from attnprof.layers.outside_kernel import band_pairs, softmax_work

        return softmax_work(spec, band_pairs(spec)[0], "unknown: exact band, aligned bottom right")


IMPLEMENTATION = FlashAttn()
