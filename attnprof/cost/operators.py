"""Names of operators whose kind neither a tag nor a schema tells. In-place variants go by the name without `_`."""

from __future__ import annotations


def words(text: str) -> frozenset[str]:
    """The words of a text, as a set."""
    return frozenset(text.split())


# Results share memory with an argument, though the schema does not say so.
VIEWS = words(
    """
    _conj _neg_view _reshape_alias _unsafe_view alias detach_ lift lift_fresh set_
    """
)

# Elements are moved, filled or drawn: neither FLOPs nor operations.
COPIES = words(
    """
    _chunk_cat _efficientzerotensor _pin_memory _reshape_copy _to_copy _weight_norm_interface_copy
    as_strided_scatter bernoulli block_diag cat channel_shuffle clone col2im complex constant_pad_nd contiguous copy
    diagonal_backward empty_like expand_copy exponential fill flip full_like im2col multinomial narrow_copy
    new_empty_strided normal ones_like permute_copy pixel_shuffle pixel_unshuffle polar rand_like randint_like
    randn_like random reflection_pad1d repeat replication_pad1d resize roll rot90 select_backward select_scatter
    slice_backward slice_scatter split_copy split_with_sizes_copy stack transpose_copy tril triu unbind_copy
    unfold_backward uniform view_as_complex_copy view_copy zero zeros_like
    """
)

# Elements are read or written through indices, or ordered.
SELECTS = words(
    """
    _embedding_bag _unique2 _unsafe_index _unsafe_index_put _unsafe_masked_index _unsafe_masked_index_put_accumulate
    argsort bincount bucketize embedding embedding_dense_backward gather histc index index_add index_copy index_fill
    index_put index_reduce index_select kthvalue masked_scatter masked_select masked_select_backward median mode
    nonzero put repeat_interleave scatter scatter_add scatter_reduce searchsorted sort take take_along_dim topk
    unique_consecutive unique_dim value_selecting_reduction_backward
    """
)

# Those of the selecting operators that order their whole input.
SORTS = words(
    """
    _unique2 argsort kthvalue median mode sort topk unique_consecutive unique_dim
    """
)

# Transcendental work on each element.
EXPONENTIALS = words(
    """
    acos asin atan atan2 celu cos cosh digamma elu elu_backward erf erfc erfinv exp exp2 expm1 gelu gelu_backward
    lgamma log log10 log1p log2 log_sigmoid_forward logaddexp logaddexp2 mish mish_backward pow selu sigmoid silu
    silu_backward sin sinc sinh softplus softplus_backward tan tanh
    """
)

# Elementwise work that carries no tag.
POINTWISE = words(
    """
    _prelu_kernel _prelu_kernel_backward add addcdiv addcmul bitwise_and bitwise_not bitwise_or clamp dist div
    hardshrink_backward hardsigmoid_backward hardswish_backward hardtanh_backward leaky_relu_backward lerp
    log_sigmoid_backward logical_and logical_or logit_backward masked_fill maximum minimum mul rrelu_with_noise
    sigmoid_backward softshrink_backward sub tanh_backward threshold_backward where
    """
)

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
