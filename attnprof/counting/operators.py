"""Names of functional operators whose kind neither a tag nor a schema tells; in-place and `out` variants share it."""

from __future__ import annotations


def words(text: str) -> frozenset[str]:
    """The words of a text, as a set."""
    return frozenset(text.split())


# Results share memory with an argument, though the schema does not say so.
VIEWS = words(
    """
    _conj _neg_view _reshape_alias _unsafe_view alias detach_ lift lift_fresh set set_ unsafe_split
    unsafe_split_with_sizes
    """
)

# Questions about a tensor, checks, hints to an allocator: no elements are computed, and none are moved.
ANSWERS = words(
    """
    _assert_async _assert_tensor_metadata _cufft_clear_plan_cache _cufft_get_plan_cache_max_size
    _cufft_get_plan_cache_size _cufft_set_plan_cache_max_size _dimI _dimV _functional_assert_async
    _functional_assert_scalar _functional_sym_constrain_range _functional_sym_constrain_range_for_size
    _fused_sdp_choice _has_same_storage_numel _linalg_check_errors _local_scalar_dense
    _nested_compute_contiguous_strides_offsets _nested_get_jagged_dummy _nested_get_lengths _nested_get_max_seqlen
    _nested_get_min_seqlen _nested_get_offsets _nested_get_ragged_idx _nested_tensor_size
    _nested_tensor_storage_offsets _nested_tensor_strides _nnz _use_cudnn_ctc_loss _use_miopen_ctc_loss
    _validate_compressed_sparse_indices dense_dim is_coalesced is_pinned is_same_size is_set_to q_per_channel_axis
    q_scale q_zero_point qscheme record_stream requires_grad_ sparse_dim sym_numel sym_size sym_stride
    """
)

# Elements are moved, filled or drawn: neither FLOPs nor operations.
COPIES = words(
    """
    _chunk_cat _coalesced _convert_indices_from_coo_to_csr _convert_indices_from_csr_to_coo
    _convert_weight_to_int4pack _convert_weight_to_int4pack_for_cpu _copy_from _copy_from_and_resize
    _cudnn_rnn_flatten_weight _dyn_quant_pack_4bit_weight _efficientzerotensor _empty_per_channel_affine_quantized
    _fill_mem_eff_dropout_mask_ _jagged_to_padded_dense_forward _lazy_clone _make_per_channel_quantized_tensor
    _make_per_tensor_quantized_tensor _mkldnn_reshape _mkldnn_transpose _nested_from_padded
    _nested_from_padded_and_nested_example _nested_from_padded_tensor _nested_select_backward
    _nested_tensor_from_mask _nested_tensor_from_mask_left_aligned _nested_tensor_from_tensor_list
    _new_zeros_with_same_feature_meta _pack_padded_sequence _padded_dense_to_jagged_forward _philox_key_fold_in
    _philox_key_split _philox_normal _philox_uniform _pin_memory _reshape_copy _resize_output _sample_dirichlet
    _sobol_engine_ff_ _sobol_engine_initialize_state_ _sobol_engine_scramble_
    _sparse_coo_tensor_with_dims_and_tensors _spdiags _stack _standard_gamma _to_copy _to_dense _to_sparse
    _to_sparse_bsc _to_sparse_bsr _to_sparse_csc _to_sparse_csr as_strided_scatter bernoulli binomial block_diag cat
    cauchy channel_shuffle clone col2im complex constant_pad_nd contiguous copy copy_sparse_to_sparse diag_embed
    diagonal_backward diagonal_scatter empty_like expand_copy exponential fill fill_diagonal_ flip full_like
    geometric im2col int_repr linspace log_normal logspace lu_unpack mkldnn_reorder_conv2d_weight
    mkldnn_reorder_conv3d_weight multinomial narrow_copy native_channel_shuffle new_empty_strided normal normal_
    normal_functional ones_like permute_copy pixel_shuffle pixel_unshuffle poisson polar q_per_channel_scales
    q_per_channel_zero_points rand_like randint_like randn_like random reflection_pad1d reflection_pad2d
    reflection_pad3d repeat replication_pad1d replication_pad2d replication_pad3d resize resize_as resize_as_sparse
    roll rot90 select_backward select_scatter slice_backward slice_scatter sparse_compressed_tensor sparse_resize
    sparse_resize_and_clear split_copy split_with_sizes_copy stack to_mkldnn transpose_copy tril triu unbind_copy
    unfold_backward uniform view_as_complex_copy view_copy zero zeros_like
    """
)

# Elements are read or written through indices, or ordered.
SELECTS = words(
    """
    _coalesce _cslt_compress _histogramdd_bin_edges _histogramdd_from_bin_cts _histogramdd_from_bin_tensors
    _index_put_impl _sparse_mask_projection _sparse_semi_structured_apply _sparse_semi_structured_apply_dense
    _sparse_semi_structured_tile _to_sparse_semi_structured _unique _unique2 _unsafe_index _unsafe_index_put
    _unsafe_masked_index _unsafe_masked_index_put_accumulate argsort bincount bucketize embedding
    embedding_dense_backward gather histc histogram index index_add index_copy index_fill index_put index_reduce
    index_select isin kthvalue masked_scatter masked_scatter_backward masked_select masked_select_backward
    max_unpool2d max_unpool3d median mode nanmedian nonzero nonzero_static put reflection_pad1d_backward
    reflection_pad2d_backward reflection_pad3d_backward repeat_interleave replication_pad1d_backward
    replication_pad2d_backward replication_pad3d_backward scatter scatter_add scatter_reduce searchsorted sort
    sparse_mask take take_along_dim topk unique_consecutive unique_dim unique_dim_consecutive
    value_selecting_reduction_backward
    """
)

# Those of the selecting operators that order their whole input.
SORTS = words(
    """
    _unique _unique2 argsort kthvalue median mode nanmedian sort topk unique_consecutive unique_dim
    unique_dim_consecutive
    """
)

# Transcendental work on each element.
EXPONENTIALS = words(
    """
    acos acosh asin asinh atan atan2 atanh celu cos cosh digamma elu elu_backward erf erfc erfinv exp exp2 expm1
    gelu gelu_backward lgamma log log10 log1p log2 log_sigmoid_forward logaddexp logaddexp2 mish mish_backward
    polygamma pow selu sigmoid silu silu_backward sin sinc sinh softplus softplus_backward tan tanh xlogy
    """
)

# Elementwise work that carries no tag; interpolation among them, whose weights are few and made on the spot.
POINTWISE = words(
    """
    __iand__ __ilshift__ __ior__ __irshift__ __ixor__ __rshift__ _add_relu _amp_foreach_non_finite_check_and_unscale
    _amp_update_scale _dirichlet_grad _fake_quantize_learnable_per_channel_affine
    _fake_quantize_learnable_per_channel_affine_backward _fake_quantize_learnable_per_tensor_affine
    _fake_quantize_learnable_per_tensor_affine_backward _fake_quantize_per_tensor_affine_cachemask_tensor_qparams
    _fused_adagrad _fused_adam _fused_adamw _fused_dropout _fused_moving_avg_obs_fq_helper
    _fused_moving_avg_obs_fq_helper_functional _fused_sgd _grid_sampler_2d_cpu_fallback
    _grid_sampler_2d_cpu_fallback_backward _masked_scale _prelu_kernel _prelu_kernel_backward _standard_gamma_grad
    _transform_bias_rescale_qkv _upsample_bicubic2d_aa _upsample_bicubic2d_aa_backward _upsample_bilinear2d_aa
    _upsample_bilinear2d_aa_backward _upsample_lanczos2d_aa _upsample_lanczos2d_aa_backward
    _upsample_nearest_exact1d _upsample_nearest_exact1d_backward _upsample_nearest_exact2d
    _upsample_nearest_exact2d_backward _upsample_nearest_exact3d _upsample_nearest_exact3d_backward add addcdiv
    addcmul batch_norm_backward_elemt batch_norm_elemt binary_cross_entropy_backward
    binary_cross_entropy_with_logits bitwise_and bitwise_not bitwise_or clamp clamp_max clamp_min cudnn_grid_sampler
    cudnn_grid_sampler_backward dequantize dist div fake_quantize_per_channel_affine_cachemask
    fake_quantize_per_tensor_affine_cachemask floor_divide glu_backward_jvp glu_jvp grid_sampler_2d
    grid_sampler_2d_backward grid_sampler_3d grid_sampler_3d_backward hardshrink_backward hardsigmoid_backward
    hardswish hardswish_backward hardtanh_backward huber_loss_backward leaky_relu_backward lerp log_sigmoid_backward
    logical_and logical_or logit_backward masked_fill maximum minimum mul multi_margin_loss_backward
    multilabel_margin_loss_backward quantize_per_channel quantize_per_tensor quantize_per_tensor_dynamic
    rrelu_with_noise rrelu_with_noise_backward rrelu_with_noise_functional rsub sigmoid_backward
    smooth_l1_loss_backward soft_margin_loss_backward softshrink_backward sub tanh_backward threshold_backward
    upsample_bicubic2d upsample_bicubic2d_backward upsample_bilinear2d upsample_bilinear2d_backward
    upsample_linear1d upsample_linear1d_backward upsample_nearest1d upsample_nearest1d_backward upsample_nearest2d
    upsample_nearest2d_backward upsample_nearest3d upsample_nearest3d_backward upsample_trilinear3d
    upsample_trilinear3d_backward where
    """
)

# Sums, extremes and norms that carry no tag; recurrences over a table of losses among them.
REDUCTIONS = words(
    """
    _adaptive_avg_pool3d _adaptive_avg_pool3d_backward _aminmax _batch_norm_no_update _batch_norm_with_update
    _batch_norm_with_update_functional _ctc_loss _ctc_loss_backward _cudnn_ctc_loss _is_all_true _is_any_true
    _native_batch_norm_legit_functional _native_batch_norm_legit_no_training _nested_sum_backward
    _segment_reduce_backward adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d
    adaptive_avg_pool3d_backward adaptive_max_pool2d adaptive_max_pool2d_backward adaptive_max_pool3d
    adaptive_max_pool3d_backward allclose avg_pool1d avg_pool3d avg_pool3d_backward batch_norm_backward
    batch_norm_backward_reduce batch_norm_gather_stats batch_norm_gather_stats_with_counts batch_norm_stats
    batch_norm_update_stats cudnn_batch_norm cudnn_batch_norm_backward embedding_renorm fractional_max_pool2d
    fractional_max_pool2d_backward fractional_max_pool3d fractional_max_pool3d_backward hash_tensor huber_loss max
    max_pool2d_backward max_pool3d_with_indices max_pool3d_with_indices_backward min miopen_batch_norm
    miopen_batch_norm_backward miopen_ctc_loss mkldnn_adaptive_avg_pool2d mkldnn_adaptive_avg_pool2d_backward
    mkldnn_max_pool2d mkldnn_max_pool2d_backward mkldnn_max_pool3d mkldnn_max_pool3d_backward multi_margin_loss
    multilabel_margin_loss_forward native_norm nll_loss2d_backward nll_loss2d_forward norm powsum
    quantized_batch_norm quantized_max_pool1d quantized_max_pool2d quantized_max_pool3d smooth_l1_loss
    soft_margin_loss trace
    """
)

# Exponentials and other operations an element of the first argument: one pass of softmax is an exponential, and a
# maximum, a difference, a sum and a quotient.
COMPOSITES: dict[str, tuple[int, int]] = {
    "_softmax": (1, 4),
    "_safe_softmax": (1, 5),
    "_masked_softmax": (1, 5),
    "softmax": (1, 4),
    "_log_softmax": (1, 4),
    "log_softmax": (1, 4),
    "_softmax_backward_data": (0, 4),
    "_masked_softmax_backward": (0, 4),
    "_log_softmax_backward_data": (1, 3),
    "logsumexp": (1, 3),
    "_thnn_fused_lstm_cell": (1, 3),
    "_thnn_fused_lstm_cell_backward_impl": (0, 6),
    "_thnn_fused_gru_cell": (1, 3),
    "_thnn_fused_gru_cell_backward": (0, 6),
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
    "_cummax_helper": (0, 1),
    "_cummin_helper": (0, 1),
    "logcumsumexp": (1, 3),
    "_logcumsumexp": (1, 3),
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
    "linalg_vector_norm": (0, 2),
    "linalg_cross": (0, 5),
    "std": (0, 3),
    "std_mean": (0, 3),
    "var": (0, 3),
    "var_mean": (0, 3),
    "argmax": (0, 1),
    "argmin": (0, 1),
    "segment_reduce": (0, 1),
}
