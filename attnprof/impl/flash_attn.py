"""FlashAttention-2 by its authors' package (Dao 2023): dense attention and sliding windows, with fewer KV heads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attnprof.contracts import SchemeFacts, Spec
from attnprof.impl._kernels import FusedSoftmax
from attnprof.shapes import Shape

if TYPE_CHECKING:
    from torch import Tensor

WIDEST_HEAD = 256


class FlashAttn(FusedSoftmax):
    """`flash_attn_func`, whose window counts the keys before and after a query's own."""

    name = package = "flash_attn"

    def computes(self, scheme: SchemeFacts, shape: Shape) -> str | None:
        narrow = shape.d <= WIDEST_HEAD
        return super().computes(scheme, shape) or (None if narrow else f"its heads are at most {WIDEST_HEAD} wide")

    def call(self, spec: Spec, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        band = self.band(spec)
        window = (-1, -1) if band is None else (band.before, band.after)
        found: Tensor = self.imported().flash_attn_func(q, k, v, causal=spec.shape.causal, window_size=window)
        return found


IMPLEMENTATION = FlashAttn()
