"""Linear recurrences by flash-linear-attention (Yang and Zhang 2024): chunks in parallel, states between them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attnprof.contracts import SchemeFacts, Spec
from attnprof.impl._kernels import OutsideKernel
from attnprof.shapes import Shape
from attnprof.words import DType

if TYPE_CHECKING:
    from torch import nn

    from attnprof.layers.outside_kernel import KernelWork

CHUNK = 64
SHORTEST_CHUNK = 16


class FLA(OutsideKernel):
    """`chunk_linear_attn` on the scheme's own features, normalised; of the recurrences it has, those written here."""

    name = package = "fla"
    distribution = "flash-linear-attention"
    dtypes = (DType.FLOAT32, DType.FLOAT16, DType.BFLOAT16)

    def computes(self, scheme: SchemeFacts, shape: Shape) -> str | None:
        if scheme.maths != "linear":
            return "it computes linear recurrences, of which linear is written here"
        if not shape.causal:
            return "it goes through the past, and has no bidirectional form"
        return None if shape.n >= shape.heads else "it refuses fewer tokens than heads"

    def build(self, spec: Spec) -> nn.Module:
        from attnprof.layers.outside_recurrence import RecurrenceCore

        assert spec.scheme is not None
        plain = spec.scheme.written["eager"].core(spec)
        return RecurrenceCore(spec, plain, lambda q, k, v: self.call(spec, q, k, v), self.work(spec), self.name)

    def call(self, spec: Spec, q: Any, k: Any, v: Any) -> Any:
        return self.imported("ops.linear_attn").chunk_linear_attn(q, k, v, scale=1.0, normalize=True)[0]

    def work(self, spec: Spec) -> KernelWork:
        """A token: 4 m d through the state and 2 C (m + d) within its chunk; backward those again, and their gradients.

        The last chunk is whole; of m features and values of width d.
        """
        from attnprof.layers.outside_kernel import KernelWork

        shape, d = spec.shape, spec.shape.d
        m = d * d if spec.params.get("feature") == "poly2" else d
        chunk = min(CHUNK, max(SHORTEST_CHUNK, 1 << (shape.n - 1).bit_length()))
        rows = shape.batch * shape.heads * -(-shape.n // chunk) * chunk
        forward = rows * (4 * m * d + 2 * chunk * (m + d))
        backward = rows * (10 * m * d + 2 * chunk * (3 * m + 2 * d))
        return KernelWork(forward, backward, 0, 0, f"{chunk} x {chunk}")


IMPLEMENTATION = FLA()
