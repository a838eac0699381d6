"""Memory that a kernel takes for itself while it runs, which no dispatched operator shows.

Only kernels whose buffers are known stand here; each entry was compared with the allocator's own events.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from attnprof.cost import tiles

aten = torch.ops.aten
Workspace = Callable[..., int]


def nbytes(t: Tensor) -> int:
    """Bytes of the elements that a tensor shows."""
    return t.numel() * t.element_size()


def _accumulators(q: Tensor) -> int:
    return 4 if q.element_size() <= 4 else 8


def flash_cpu(q: Tensor, k: Tensor, v: Tensor, *_: Any, **__: Any) -> int:
    """Each thread of the CPU flash kernel holds one tile of scores, its row statistics and its output rows."""
    n, m, d = q.shape[-2], k.shape[-2], q.shape[-1]
    rows, keys = min(tiles.flash_cpu_split(n), n), min(tiles.FLASH_CPU_KEYS, m)
    threads = torch.get_num_threads()
    reduced = rows * keys * q.element_size() if q.element_size() < 4 else 0
    return threads * (_accumulators(q) * (rows * keys + 2 * rows + rows * d) + reduced)


def flash_cpu_backward(grad: Tensor, q: Tensor, k: Tensor, *_: Any, **__: Any) -> int:
    """Two tiles a thread, the row sums, and the gradient in the kernel's own layout `[b, n, h, d]`."""
    n, m = q.shape[-2], k.shape[-2]
    rows, keys = min(tiles.flash_cpu_split(n), n), min(tiles.FLASH_CPU_KEYS, m)
    threads = torch.get_num_threads()
    element = _accumulators(q) + (q.element_size() if q.element_size() < 4 else 0)
    copied = 0 if grad.transpose(1, 2).is_contiguous() else nbytes(grad)
    return threads * (element * 2 * rows * keys + _accumulators(q) * rows) + copied


def gemm_ready(t: Tensor) -> bool:
    """Whether BLAS can read the last two dimensions as they lie: one of them contiguous, the other long enough."""
    rows, columns = t.shape[-2:]
    down, across = t.stride()[-2:]
    return (across == 1 and down >= max(1, columns)) or (down == 1 and across >= max(1, rows))


def product(a: Tensor, b: Tensor, **__: Any) -> int:
    """A product copies an operand that BLAS cannot read; a batched one does so item by item."""
    return sum(nbytes(t) // (max(1, t.shape[0]) if t.dim() == 3 else 1) for t in (a, b) if not gemm_ready(t))


def added_product(_: Tensor, a: Tensor, b: Tensor, **__: Any) -> int:
    """The same, with a tensor that is added."""
    return product(a, b)


def contiguous_copy(x: Tensor, *_: Any, **__: Any) -> int:
    """Kernels that read along rows copy an input that is not contiguous."""
    return 0 if x.is_contiguous() else nbytes(x)


def contiguous_copies(grad: Tensor, result: Tensor, *_: Any, **__: Any) -> int:
    """The backward of such a kernel copies either of its inputs."""
    return contiguous_copy(grad) + contiguous_copy(result)


def transform(x: Tensor, dims: list[int], *_: Any, **__: Any) -> int:
    """A Fourier transform copies its input unless the transformed dimensions lie innermost, one batch before them."""
    order = sorted((d for d in range(x.dim()) if d not in dims), key=lambda d: -x.stride(d)) + list(dims)
    expected = 1
    for d in reversed(order):
        if x.shape[d] != 1 and x.stride(d) != expected:
            return nbytes(x)
        expected *= x.shape[d]
    return 0


def roll(x: Tensor, shifts: list[int], dims: list[int] | None = None, **__: Any) -> int:
    """One dimension is rolled after the other: all but the last leave a copy."""
    return nbytes(x) if dims is not None and len(dims) > 1 else 0


MKLDNN_ELEMENTS = 20480


def log_sum_exp(x: Tensor, dims: list[int], *_: Any, **__: Any) -> int:
    """The exponentials of the input beside their maxima."""
    reduced = math.prod(x.shape[d] for d in dims) if dims and x.dim() else x.numel()
    return nbytes(x) + nbytes(x) // max(1, reduced)


def convolution(
    x: Tensor, weight: Tensor, bias: Any, stride: Any, padding: Any, dilation: Any, transposed: bool, *rest: Any,
    **__: Any,
) -> int:  # fmt: skip
    """oneDNN copies input and weight into its own layout, then the result out of it; small ones unfold the input."""
    if transposed:
        return nbytes(x) + nbytes(weight)
    places = math.prod(
        (size + 2 * pad - reach * (width - 1) - 1) // step + 1
        for size, width, step, pad, reach in zip(x.shape[2:], weight.shape[2:], stride, padding, dilation, strict=False)
    )
    if rest[-1] > 1 or x.shape[0] > 1 or x.numel() > MKLDNN_ELEMENTS:
        return max(nbytes(x) + nbytes(weight), x.shape[0] * weight.shape[0] * places * x.element_size())
    return places * math.prod(weight.shape[1:]) * x.element_size()


def convolution_backward(grad: Tensor, x: Tensor, weight: Tensor, *_: Any, **__: Any) -> int:
    """oneDNN's copies of the gradient, the input and the weight."""
    return nbytes(grad) + nbytes(x) + nbytes(weight)


workspaces: dict[Any, Workspace] = {
    aten.convolution: convolution,
    aten.convolution_backward: convolution_backward,
    aten._scaled_dot_product_flash_attention_for_cpu: flash_cpu,
    aten._scaled_dot_product_flash_attention_for_cpu_backward: flash_cpu_backward,
    aten.bmm: product,
    aten.mm: product,
    aten.addmm: added_product,
    aten.baddbmm: added_product,
    aten._softmax: contiguous_copy,
    aten._log_softmax: contiguous_copy,
    aten._softmax_backward_data: contiguous_copies,
    aten._log_softmax_backward_data: contiguous_copies,
    aten.logsumexp: log_sum_exp,
    aten.roll: roll,
    aten._fft_r2c: transform,
    aten._fft_c2c: transform,
    aten._fft_c2r: transform,
}


def workspace_of(operator: Any) -> Workspace | None:
    """The workspace of an operator's kernel on a CPU, where it is known."""
    return workspaces.get(operator.overloadpacket)
