"""Operators of torch that have work, and no formula: why the shapes of a call do not tell what it does."""

from __future__ import annotations

from attnprof.counting.operators import words
from attnprof.counting.variants import base_name, functional
from attnprof.torch_private import Overload

REASONS: dict[str, frozenset[str]] = {
    "its work is that of the stored elements, whose number a sparse tensor's shape does not tell": words(
        """
        _sparse_addmm _sparse_csr_prod _sparse_csr_sum _sparse_log_softmax _sparse_log_softmax_backward_data
        _sparse_mm_reduce_impl _sparse_mm_reduce_impl_backward _sparse_softmax _sparse_softmax_backward_data
        _sparse_sparse_matmul _sparse_sum _sparse_sum_backward _spsolve hspmm sparse_sampled_addmm sspaddmm
        """
    ),
    "its weights are packed in quantized cells, whose sizes no argument shows": words("quantized_gru quantized_lstm"),
    "its rows are of lengths that are values of a nested tensor": words("_nested_tensor_softmax_with_shape"),
    "the number of its products depends on the norm of the matrix": words("linalg_matrix_exp"),
    "it runs several kernels to find the fastest": words("_cslt_sparse_mm_search"),
    "it exists for torch's own tests": words(
        """
        _foobar _test_autograd_multiple_dispatch _test_functorch_fallback _test_optional_filled_intlist
        _test_optional_floatlist _test_optional_intlist _test_parallel_materialize _test_warn_in_autograd
        """
    ),
}


def reason_of(operator: Overload) -> str:
    """Why one of torch's operators has no formula; empty for one that nobody has looked at, as a user's own."""
    if operator.namespace != "aten":
        return ""
    name = base_name(functional(operator))
    return next((reason for reason, names in REASONS.items() if name in names), "")
