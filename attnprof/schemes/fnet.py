"""FNet: the real part of a Fourier transform over positions and channels (Lee-Thorp et al. 2022, equation 3)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from attnprof.contracts import Spec
from attnprof.layers.attention import dtype_of


class Core(nn.Module):
    """`x [b, n, D]` to `[b, n, D]`, in float32 at least; no heads, no parameters.

    Of real tokens half of the frequencies are enough: frequency (-k, -l) has the real part of (k, l).
    """

    def __init__(self, spec: Spec) -> None:
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        half = torch.fft.rfft2(x.to(torch.promote_types(x.dtype, torch.float32))).real
        mirrored = half[:, :, 1 : (x.shape[2] + 1) // 2].flip(1, 2).roll(1, 1)
        return torch.cat([half, mirrored], 2).to(x.dtype)

    def reference(self, x: Tensor) -> Tensor:
        """Matrices of cosines and sines on either side: C_n x C_D - S_n x S_D."""

        def angles(count: int) -> Tensor:
            place = torch.arange(count, device=x.device)
            return (place * place[:, None] % count).to(x.dtype) * (2 * math.pi / count)

        rows, columns = (angles(count) for count in x.shape[1:])
        return rows.cos() @ x @ columns.cos() - rows.sin() @ x @ columns.sin()


Layer = Core


def streams(spec: Spec) -> tuple[Tensor, ...]:
    """Random `x [b, n, D]`: the core is the layer."""
    return (torch.randn(spec.shape.batch, spec.shape.n, spec.shape.dim, dtype=dtype_of(spec.shape)),)


def flops_core(spec: Spec) -> int:
    """2.5 N log2 N for the N = n D real points of a sequence, half of a complex transform's 5 N log2 N."""
    points = spec.shape.n * spec.shape.dim
    return round(2.5 * points * math.log2(points) * spec.shape.batch) if points > 1 else 0
