"""A linear recurrence by another package's kernel, on the feature maps of the scheme itself."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from torch import Tensor, nn

from attnprof.contracts import Checked, Spec
from attnprof.errors import Unsupported
from attnprof.layers.outside_kernel import Call, KernelWork, OutsideCore


@runtime_checkable
class MapsFeatures(Protocol):
    """A core whose queries and keys go through a feature map."""

    def phi(self, x: Tensor) -> Tensor:
        """`[..., d]` to `[..., m]`."""
        ...


class RecurrenceCore(OutsideCore):
    """`q [b, h, n, d]`, `k, v [b, g, n, d]`: features here, sums over the past there."""

    def __init__(self, spec: Spec, plain: nn.Module, call: Call, work: KernelWork, kernel: str) -> None:
        super().__init__(spec, call, work, kernel)
        if not isinstance(plain, MapsFeatures) or not isinstance(plain, Checked):
            raise Unsupported(f"{kernel} takes features of queries and keys, which {type(plain).__name__} has none of")
        self.phi, self.oracle = plain.phi, plain.reference

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        repeat = q.shape[1] // k.shape[1]
        k, v = (x.repeat_interleave(repeat, 1) if repeat > 1 else x for x in (k, v))
        return super().forward(self.phi(q), self.phi(k), v)

    def reference(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """That of the scheme's own maths."""
        return self.oracle(q, k, v)
