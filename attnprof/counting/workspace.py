"""Memory that a kernel takes for itself while it runs, which no dispatched operator shows.

Each entry was compared with the CPU allocator's own events. Kernels whose buffers are not known to the byte are told
by name, beside the peak that goes without them: libraries that plan their own memory (oneDNN's convolutions, of which
the copies are estimated, and recurrences; LAPACK), operators made of others that no mode sees, and any custom operator.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from attnprof.counting import casts, tiles
from attnprof.counting.classify import OperatorKind
from attnprof.counting.operators import words
from attnprof.counting.variants import base_name, functional
from attnprof.torch_private import Overload

aten = torch.ops.aten
Workspace = Callable[..., int]


def nbytes(t: Tensor) -> int:
    """Bytes of the elements that a tensor shows."""
    return t.numel() * t.element_size()


def _accumulators(q: Tensor) -> int:
    return 4 if q.element_size() <= 4 else 8


def flash_cpu(q: Tensor, k: Tensor, v: Tensor, *_: object, **__: object) -> int:
    """Each thread of the CPU flash kernel holds one tile of scores, its row statistics and its output rows."""
    n, m, d = q.shape[-2], k.shape[-2], q.shape[-1]
    rows, keys = min(tiles.flash_cpu_split(n), n), min(tiles.FLASH_CPU_KEYS, m)
    threads = torch.get_num_threads()
    reduced = rows * keys * q.element_size() if q.element_size() < 4 else 0
    return threads * (_accumulators(q) * (rows * keys + 2 * rows + rows * d) + reduced)


def flash_cpu_backward(grad: Tensor, q: Tensor, k: Tensor, *_: object, **__: object) -> int:
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


def product(a: Tensor, b: Tensor, **__: object) -> int:
    """A product copies an operand that BLAS cannot read, a batched one item by item, and conjugates one that waits."""
    copied = sum(nbytes(t) // (max(1, t.shape[0]) if t.dim() == 3 else 1) for t in (a, b) if not gemm_ready(t))
    return copied + sum(nbytes(t) for t in (a, b) if t.is_conj())


def added_product(_: Tensor, a: Tensor, b: Tensor, **__: object) -> int:
    """The same, with a tensor that is added."""
    return product(a, b)


def contiguous_copy(x: Tensor, *_: object, **__: object) -> int:
    """Kernels that read along rows copy an input that is not contiguous."""
    return 0 if x.is_contiguous() else nbytes(x)


def contiguous_copies(grad: Tensor, result: Tensor, *_: object, **__: object) -> int:
    """The backward of such a kernel copies either of its inputs."""
    return contiguous_copy(grad) + contiguous_copy(result)


def transform(x: Tensor, dims: list[int], *_: object, **__: object) -> int:
    """A Fourier transform copies its input unless the transformed dimensions lie innermost, one batch before them."""
    order = sorted((d for d in range(x.dim()) if d not in dims), key=lambda d: -x.stride(d)) + list(dims)
    expected = 1
    for d in reversed(order):
        if x.shape[d] != 1 and x.stride(d) != expected:
            return nbytes(x)
        expected *= x.shape[d]
    return 0


def roll(x: Tensor, shifts: list[int], dims: list[int] | None = None, **__: object) -> int:
    """One dimension is rolled after the other: all but the last leave a copy."""
    return nbytes(x) if dims is not None and len(dims) > 1 else 0


MKLDNN_ELEMENTS = 20480


def log_sum_exp(x: Tensor, dims: list[int], *_: object, **__: object) -> int:
    """The exponentials of the input beside their maxima."""
    reduced = math.prod(x.shape[d] for d in dims) if dims and x.dim() else x.numel()
    return nbytes(x) + nbytes(x) // max(1, reduced)


def convolution(
    x: Tensor, weight: Tensor, bias: object, stride: object, padding: object, dilation: object, transposed: bool,
    outer: object, groups: int, *_: object, made: Tensor, **__: object,
) -> int:  # fmt: skip
    """oneDNN copies input and weight into its own layout, then the result out of it; small ones unfold the input.

    A depthwise one has its channels rounded up to a vector in that layout.
    """
    straight = contiguous_copy(x)
    if transposed:
        return straight + nbytes(x) + nbytes(weight)
    if groups == 1 and x.shape[0] == 1 and x.numel() <= MKLDNN_ELEMENTS:
        return straight + math.prod(made.shape[2:]) * math.prod(weight.shape[1:]) * x.element_size()
    rounded = blocked(groups) if 1 < groups == x.shape[1] else groups
    taken = [nbytes(t) * rounded // groups for t in (x, weight, made)]
    return straight + max(sum(taken) - nbytes(made), taken[2])


def blocked(channels: int) -> int:
    """Channels rounded up to a vector of the processor."""
    lanes = 16 if "AVX512" in torch.backends.cpu.get_cpu_capability() else 8
    return -(-channels // lanes) * lanes


def convolution_backward(grad: Tensor, x: Tensor, weight: Tensor, *_: object, **__: object) -> int:
    """oneDNN's copies of the gradient, the input and the weight."""
    return nbytes(grad) + nbytes(x) + nbytes(weight)


def safe_softmax(x: Tensor, *_: object, **__: object) -> int:
    """Which scores are minus infinity, which rows are nothing else, and the zero that those rows get."""
    return contiguous_copy(x) + x.numel() + x.numel() // max(1, x.shape[-1]) + x.element_size()


def sort(x: Tensor, *args: int, **kwargs: int) -> int:
    """The places of one row, `args` being `dim, ...` or, of the stable overload, nothing before it."""
    dim = kwargs.get("dim", args[0] if args and not isinstance(args[0], bool) else -1)
    return 8 * x.shape[dim] if x.dim() else 8


def kth_value(x: Tensor, *_: object, **__: object) -> int:
    """A copy to be ordered in place, and the places."""
    return x.numel() * (x.element_size() + 8)


def layer_norm_backward(grad: Tensor, x: Tensor, shape: list[int], *_: object, **__: object) -> int:
    """Each thread sums the gradients of scale and shift on its own."""
    return 2 * torch.get_num_threads() * math.prod(shape) * grad.element_size()


def group_norm_backward(grad: Tensor, *_: object, **__: object) -> int:
    """Two sums over the places of each channel."""
    return 2 * math.prod(grad.shape[:2]) * grad.element_size()


def batch_norm(x: Tensor, *_: object, **__: object) -> int:
    """Scale and shift of each channel."""
    return 2 * x.shape[1] * x.element_size()


def unfold_backward(grad: Tensor, sizes: list[int], dim: int, size: int, step: int, **__: object) -> int:
    """The places along the dimension, where windows overlap."""
    return 8 * sizes[dim] if step < size else 0


workspaces: dict[object, Workspace] = {
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
    aten._safe_softmax: safe_softmax,
    aten.logsumexp: log_sum_exp,
    aten.roll: roll,
    aten.sort: sort,
    aten.kthvalue: kth_value,
    aten.gather: casts.indices,
    aten.scatter: casts.indices,
    aten.scatter_add: casts.indices,
    aten.where: casts.choosing,
    aten.masked_fill: casts.choosing,
    aten.sum: casts.summed,
    aten.nansum: casts.summed,
    aten.prod: casts.summed,
    aten.cumsum: casts.summed,
    aten.cumprod: casts.summed,
    aten.linalg_vector_norm: casts.summed,
    aten.mean: casts.mean,
    aten.any: casts.truth,
    aten.all: casts.truth,
    aten.native_dropout_backward: casts.masked,
    aten.native_layer_norm_backward: layer_norm_backward,
    aten.native_group_norm_backward: group_norm_backward,
    aten.native_batch_norm: batch_norm,
    aten._native_batch_norm_legit: batch_norm,
    aten.unfold_backward: unfold_backward,
    aten._fft_r2c: transform,
    aten._fft_c2c: transform,
    aten._fft_c2r: transform,
}

# Products that need no buffers where they read their operands as these lie.
BARE = words("addbmm addmv addr dot mv vdot")

# Light operators whose kernels take more than a few numbers, in amounts that are not known.
UNSEEN = words(
    """
    _batch_norm_with_update _chunk_cat _ctc_loss _ctc_loss_backward _cudnn_ctc_loss _histogramdd_bin_edges
    _histogramdd_from_bin_cts _histogramdd_from_bin_tensors _to_sparse _unique _unique2 _unsafe_masked_index
    _unsafe_masked_index_put_accumulate _upsample_bicubic2d_aa _upsample_bicubic2d_aa_backward
    _upsample_bilinear2d_aa _upsample_bilinear2d_aa_backward _upsample_lanczos2d_aa _upsample_lanczos2d_aa_backward
    _upsample_nearest_exact1d _upsample_nearest_exact1d_backward _upsample_nearest_exact2d
    _upsample_nearest_exact2d_backward _upsample_nearest_exact3d _upsample_nearest_exact3d_backward allclose
    batch_norm_backward binary_cross_entropy binary_cross_entropy_backward binary_cross_entropy_with_logits col2im
    count_nonzero dist grid_sampler_2d_backward grid_sampler_3d_backward histc histogram huber_loss im2col
    index_reduce isin isinf ldexp lu_unpack masked_scatter masked_scatter_backward masked_select
    masked_select_backward max_pool2d_with_indices mode mse_loss multilabel_margin_loss_backward
    multilabel_margin_loss_forward multinomial mvlgamma nanmedian native_batch_norm_backward normal renorm
    repeat_interleave rrelu_with_noise segment_reduce smooth_l1_loss soft_margin_loss soft_margin_loss_backward
    unique_consecutive unique_dim unique_dim_consecutive upsample_bicubic2d upsample_bicubic2d_backward
    upsample_bilinear2d upsample_bilinear2d_backward upsample_linear1d upsample_linear1d_backward upsample_nearest1d
    upsample_nearest1d_backward upsample_nearest2d upsample_nearest2d_backward upsample_nearest3d
    upsample_nearest3d_backward upsample_trilinear3d upsample_trilinear3d_backward
    """
)

# Those whose copies are estimated: oneDNN chooses layouts by processor and shape.
ESTIMATED = words("convolution convolution_backward")
FREE = (OperatorKind.VIEW, OperatorKind.COMPOSITE)


def workspace_of(operator: Overload, kind: OperatorKind) -> Workspace | None:
    """The workspace of an operator's kernel on a CPU, where it has one that is known."""
    found = workspaces.get(functional(operator).overloadpacket)
    return casts.elementwise if found is None and kind is OperatorKind.POINTWISE else found


def is_unseen(operator: Overload, kind: OperatorKind) -> bool:
    """Whether an operator's kernel takes memory in an amount that is not known to the byte."""
    same = functional(operator)
    name = base_name(same)
    if kind in FREE:
        return False
    if kind in (OperatorKind.COUNTED, OperatorKind.UNKNOWN):
        return name in ESTIMATED or not (same.overloadpacket in workspaces or name in BARE)
    return name in UNSEEN
