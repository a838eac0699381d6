"""What kind of work an operator without a formula does, from its own tags, its schema and a short list of names.

Elementwise work and reductions are operations, not FLOPs; views and copies are neither; anything else has weight that
nobody has counted, and a total that would include it is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Any

import torch
from torch import Tensor

from attnprof.cost.registry import Work, numel


class Kind(Enum):
    """How an operator is accounted for."""

    COUNTED = "counted"
    VIEW = "view"
    COPY = "copy"
    POINTWISE = "pointwise"
    REDUCTION = "reduction"
    SELECT = "select"
    UNKNOWN = "unknown"


VIEWS = frozenset("_unsafe_view _reshape_alias detach_ lift lift_fresh alias _conj _neg_view set_".split())
COPIES = frozenset(
    """clone copy _to_copy cat stack repeat constant_pad_nd flip roll tril triu fill zero
    slice_backward select_backward diagonal_backward as_strided_scatter slice_scatter select_scatter unfold_backward
    new_empty_strided view_copy contiguous _pin_memory complex polar view_as_complex_copy rot90 pixel_shuffle
    pixel_unshuffle channel_shuffle im2col col2im resize uniform normal exponential random rand_like
    randn_like randint_like zeros_like ones_like full_like empty_like _efficientzerotensor expand_copy split_copy
    split_with_sizes_copy reflection_pad1d replication_pad1d _reshape_copy _weight_norm_interface_copy unbind_copy
    _chunk_cat block_diag narrow_copy permute_copy transpose_copy bernoulli multinomial""".split()
)
SELECTS = frozenset(
    """index gather scatter scatter_add scatter_reduce index_select index_add
    index_put _unsafe_index _unsafe_index_put index_copy index_fill
    index_reduce embedding embedding_dense_backward sort topk argsort kthvalue median mode masked_select
    masked_scatter nonzero searchsorted bucketize _unique2 unique_dim unique_consecutive take put
    repeat_interleave value_selecting_reduction_backward masked_select_backward take_along_dim bincount histc
    _embedding_bag _unsafe_masked_index _unsafe_masked_index_put_accumulate""".split()
)
EXPONENTIALS = frozenset(
    """exp exp2 expm1 log log2 log10 log1p sigmoid tanh erf erfc erfinv gelu silu
    softplus elu elu_backward mish celu selu log_sigmoid_forward sin cos tan sinh cosh asin acos atan atan2 logaddexp
    logaddexp2 sinc lgamma digamma gelu_backward silu_backward softplus_backward mish_backward pow""".split()
)
POINTWISE = frozenset(
    """masked_fill hardtanh_backward leaky_relu_backward log_sigmoid_backward hardsigmoid_backward
    hardswish_backward softshrink_backward hardshrink_backward logit_backward sigmoid_backward tanh_backward
    threshold_backward rrelu_with_noise lerp addcmul addcdiv add sub mul div clamp where _prelu_kernel
    _prelu_kernel_backward dist maximum minimum bitwise_and bitwise_or bitwise_not logical_and logical_or""".split()
)
SORTS = frozenset("sort topk argsort kthvalue median mode _unique2 unique_dim unique_consecutive".split())
# Exponentials and other operations an element of the first argument: one pass of softmax is an exponential, and a
# maximum, a difference, a sum and a quotient.
COMPOSITES: dict[str, tuple[int, int]] = {
    "_softmax": (1, 4),
    "_safe_softmax": (1, 5),
    "_log_softmax": (1, 4),
    "_softmax_backward_data": (0, 4),
    "_log_softmax_backward_data": (1, 3),
    "logsumexp": (1, 3),
    "native_layer_norm": (0, 7),
    "native_layer_norm_backward": (0, 11),
    "_fused_rms_norm": (0, 4),
    "_fused_rms_norm_backward": (0, 8),
    "native_group_norm": (0, 7),
    "native_group_norm_backward": (0, 11),
    "native_batch_norm": (0, 7),
    "_native_batch_norm_legit": (0, 7),
    "native_batch_norm_backward": (0, 11),
    "native_dropout": (0, 2),
    "native_dropout_backward": (0, 2),
    "cumsum": (0, 1),
    "cumprod": (0, 1),
    "cummax": (0, 1),
    "cummin": (0, 1),
    "logcumsumexp": (1, 3),
    "glu": (1, 1),
    "glu_backward": (1, 3),
    "renorm": (0, 3),
    "_weight_norm_interface": (0, 3),
    "_weight_norm_interface_backward": (0, 5),
    "avg_pool2d": (0, 1),
    "avg_pool2d_backward": (0, 1),
    "_adaptive_avg_pool2d": (0, 1),
    "_adaptive_avg_pool2d_backward": (0, 1),
    "max_pool2d_with_indices": (0, 1),
    "max_pool2d_with_indices_backward": (0, 1),
    "mse_loss": (0, 3),
    "mse_loss_backward": (0, 3),
    "nll_loss_forward": (0, 1),
    "nll_loss_backward": (0, 1),
    "binary_cross_entropy": (2, 4),
    "_foreach_add": (0, 1),
    "linalg_vector_norm": (0, 2),
    "threshold_backward": (0, 1),
    "linalg_cross": (0, 5),
    "std": (0, 3),
    "var": (0, 3),
    "var_mean": (0, 3),
    "argmax": (0, 1),
    "argmin": (0, 1),
    "segment_reduce": (0, 1),
}


def kind_of(operator: Any) -> Kind:
    """The kind of an overload that has no formula."""
    name = operator._schema.name.split("::")[1]
    space = operator.namespace
    if space in ("prim", "profiler") or name in ("_local_scalar_dense", "sym_size", "sym_stride", "sym_numel"):
        return Kind.VIEW
    if name in VIEWS or _is_view(operator):
        return Kind.VIEW
    return _kind_of_name(operator, name) or _kind_of_name(operator, name.removesuffix("_")) or Kind.UNKNOWN


def _kind_of_name(operator: Any, name: str) -> Kind | None:
    if name in COPIES or not _takes_tensors(operator) or name.startswith(("new_", "empty", "to_padded")):
        return Kind.COPY
    if name in SELECTS:
        return Kind.SELECT
    if name in COMPOSITES or torch.Tag.reduction in operator.tags:
        return Kind.REDUCTION
    if torch.Tag.pointwise in operator.tags or name in EXPONENTIALS or name in POINTWISE:
        return Kind.POINTWISE
    return Kind.COPY if torch.Tag.view_copy in operator.tags else None


def _is_view(operator: Any) -> bool:
    return any(r.alias_info is not None and not r.alias_info.is_write for r in operator._schema.returns)


def _takes_tensors(operator: Any) -> bool:
    return any("Tensor" in str(argument.type) for argument in operator._schema.arguments)


def worker(operator: Any, kind: Kind) -> Callable[[Any, Any], Work | None]:
    """A function of an operator's arguments and result that gives its work apart from FLOPs."""
    name = operator._schema.name.split("::")[1].removesuffix("_")
    if kind is Kind.POINTWISE:
        heavy = name in EXPONENTIALS
        return lambda args, out: _pointwise(_elements(out), heavy)
    if kind is Kind.REDUCTION:
        exp, arith = COMPOSITES.get(name, (0, 1))
        return lambda args, out: Work(0, exp * _largest(args), arith * _largest(args))
    if kind is Kind.SELECT:
        sorts = name in SORTS
        return lambda args, out: Work(0, 0, 0, _largest(args) if sorts else _moved(args, out))
    return lambda args, out: None


def _pointwise(elements: int, heavy: bool) -> Work:
    return Work(0, elements, 0) if heavy else Work(0, 0, elements)


def _elements(out: Any) -> int:
    first = out if isinstance(out, Tensor) else next((t for t in out if isinstance(t, Tensor)), None) if out else None
    return 0 if first is None else numel(first.shape)


def _largest(args: Any) -> int:
    return numel(args[0].shape) if args and isinstance(args[0], Tensor) else 0


def _moved(args: Any, out: Any) -> int:
    """Elements that an indexed read or write moves: the result of a gather, the source of a scatter."""
    given = [t for t in args[1:] if isinstance(t, Tensor)]
    sources = [t for t in given if t.is_floating_point() or t.is_complex()]
    return numel(sources[-1].shape) if sources else _elements(out)
