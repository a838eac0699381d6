"""Formulas called one by one with sizes that share no factor, against figures worked out by hand.

Where a figure is not obvious it is derived in the line above it. k = 6 and p = 9 are the sides of matrices; a batch of
two doubles, complex numbers cost four times.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from attnprof.counting import formulas_attention, formulas_varlen
from attnprof.counting.formulas import OperatorWork, formula_of
from attnprof.counting.formulas_fft import transform_flops
from attnprof.counting.formulas_matmul import applied
from attnprof.counting.tiles import KernelTiles

aten = torch.ops.aten


def t(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.empty(shape, dtype=dtype)


def work(operator: Any, *args: Any, out: Any = None, **given: Any) -> OperatorWork:
    """What a formula gives for a call; those that read by name need only what they read."""
    formula = formula_of(operator)
    assert formula is not None
    found = formula(*args, out=out, **given)
    return found if isinstance(found, OperatorWork) else OperatorWork(found)  # type: ignore[arg-type]


# Two sequences, three heads, five queries and seven keys; d_k = 4 and d_v = 6, so that a pair is 2 (4 + 6) = 20 FLOPs
# forward, and 2 (3 * 4 + 2 * 6) = 48 backward; an exponential and four other operations either way.
FUSED = {"query": t(2, 3, 5, 4), "key": t(2, 3, 7, 4), "value": t(2, 3, 7, 6)}
HEADS, ALL, TOP_LEFT, BOTTOM_RIGHT = 6, 35, 1 + 2 + 3 + 4 + 5, 3 + 4 + 5 + 6 + 7
CPU = "_scaled_dot_product_flash_attention_for_cpu"
KERNELS = [
    (CPU, 20, ALL, "flash (CPU)"),  # its tile of keys holds all seven
    (f"{CPU}_backward", 48, ALL, "flash (CPU)"),
    ("_scaled_dot_product_flash_attention", 20, BOTTOM_RIGHT, "flash"),
    ("_scaled_dot_product_flash_attention_backward", 48, BOTTOM_RIGHT, "flash"),
    ("_scaled_dot_product_efficient_attention", 20, TOP_LEFT, "efficient"),
    ("_scaled_dot_product_efficient_attention_backward", 48, TOP_LEFT, "efficient"),
    ("_scaled_dot_product_cudnn_attention", 20, TOP_LEFT, "cudnn"),
    ("_scaled_dot_product_cudnn_attention_backward", 48, TOP_LEFT, "cudnn"),
    ("_scaled_dot_product_fused_attention_overrideable", 20, TOP_LEFT, "overrideable"),
    ("_scaled_dot_product_fused_attention_overrideable_backward", 48, TOP_LEFT, "overrideable"),
    ("_scaled_dot_product_attention_math_for_mps", 20, ALL, "math (Metal)"),
]


@pytest.mark.parametrize(("name", "a_pair", "causal_pairs", "backend"), KERNELS)
def test_fused_kernels_cost_their_pairs(name: str, a_pair: int, causal_pairs: int, backend: str) -> None:
    operator = getattr(aten, name).default
    for causal, pairs in ((False, ALL), (True, causal_pairs)):
        found = work(operator, **FUSED, is_causal=causal)
        assert found[:3] == (a_pair * HEADS * pairs, HEADS * pairs, 4 * HEADS * pairs)
        assert found.backend == backend


def test_tritons_kernel_keeps_every_pair() -> None:
    q, k, v = FUSED.values()
    assert work(aten._triton_scaled_dot_attention.default, q, k, v).flops == 20 * HEADS * ALL


# Below SDPA: `[b, n, h, d]`, three heads of two sequences.
ROWS = {"query": t(2, 5, 3, 4), "key": t(2, 7, 3, 4), "value": t(2, 7, 3, 6)}
FLASH = {"window_size_left": -1, "window_size_right": -1, "cum_seq_q": None, "cum_seq_k": None, "is_causal": False}
EFFICIENT = {"cu_seqlens_q": None, "cu_seqlens_k": None, "window_size": None, "custom_mask_type": 0}
CUDNN = {"cum_seq_q": None, "cum_seq_k": None, "is_causal": False}
ENDS = (torch.tensor([0, 2, 5], dtype=torch.int32), torch.tensor([0, 3, 7], dtype=torch.int32))
# Aligned bottom right a query's own place is 2 further on. One before and none after: two keys each.
# Packed, 2 queries with 3 keys and 3 with 4: 6 + 12; causal, bottom right: 2 + 3 and 2 + 3 + 4.
BELOW = [
    ("_flash_attention", {**FLASH}, ALL),
    ("_flash_attention", {**FLASH, "is_causal": True}, BOTTOM_RIGHT),
    ("_flash_attention", {**FLASH, "window_size_left": 1, "window_size_right": 0}, 5 * 2),
    ("_flash_attention", {**FLASH, "window_size_left": None, "window_size_right": 1}, 4 + 5 + 6 + 7 + 7),
    ("_flash_attention", {**FLASH, "window_size_left": 1, "is_causal": True}, 5 * 2),
    ("_efficient_attention", {**EFFICIENT}, ALL),
    ("_efficient_attention", {**EFFICIENT, "custom_mask_type": 1}, TOP_LEFT),
    ("_efficient_attention", {**EFFICIENT, "custom_mask_type": 2}, BOTTOM_RIGHT),
    # A window of 3 keys that ends at the query: 1, 2, 3, 3, 3 at the top left, 3 each at the bottom right.
    ("_efficient_attention", {**EFFICIENT, "custom_mask_type": 1, "window_size": 3}, 12),
    ("_efficient_attention", {**EFFICIENT, "custom_mask_type": 2, "window_size": 3}, 15),
]


@pytest.mark.parametrize(("name", "given", "pairs"), BELOW)
def test_kernels_below_sdpa_read_their_windows(name: str, given: dict[str, Any], pairs: int) -> None:
    for way, a_pair in (("forward", 20), ("backward", 48)):
        found = work(getattr(aten, f"{name}_{way}").default, **ROWS, **given)
        assert found[:3] == (a_pair * HEADS * pairs, HEADS * pairs, 4 * HEADS * pairs)


def test_cudnns_kernel_below_sdpa_has_its_heads_first() -> None:
    for way, a_pair in (("forward", 20), ("backward", 48)):
        for causal, pairs in ((False, ALL), (True, TOP_LEFT)):
            operator = getattr(aten, f"_cudnn_attention_{way}").default
            assert work(operator, **FUSED, **{**CUDNN, "is_causal": causal}).flops == a_pair * HEADS * pairs


PACKED = {"query": t(5, 3, 4), "key": t(7, 3, 4), "value": t(7, 3, 6)}


@pytest.mark.parametrize(
    ("name", "given", "pairs"),
    [
        ("_flash_attention", {**FLASH, "cum_seq_q": ENDS[0], "cum_seq_k": ENDS[1]}, 18),
        ("_flash_attention", {**FLASH, "cum_seq_q": ENDS[0], "cum_seq_k": ENDS[1], "is_causal": True}, 14),
        ("_cudnn_attention", {**CUDNN, "cum_seq_q": ENDS[0], "cum_seq_k": ENDS[1]}, 18),
    ],
)
def test_packed_sequences_attend_each_to_its_own(name: str, given: dict[str, Any], pairs: int) -> None:
    for way, a_pair in (("forward", 20), ("backward", 48)):
        found = work(getattr(aten, f"{name}_{way}").default, **PACKED, **given)
        assert found[:2] == (a_pair * 3 * pairs, 3 * pairs)
        assert "packed" in str(found.tile)


def test_packed_sequences_of_the_efficient_kernel_lie_in_a_batch_of_one() -> None:
    one = {name: x[None] for name, x in PACKED.items()}
    given = {**EFFICIENT, "cu_seqlens_q": ENDS[0], "cu_seqlens_k": ENDS[1]}
    assert work(aten._efficient_attention_forward.default, **one, **given).flops == 20 * 3 * 18


def test_no_ends_are_no_packing() -> None:
    assert not formulas_varlen.packed(None)
    assert not formulas_varlen.packed(torch.empty(0))
    assert formulas_varlen.packed(torch.zeros(1))
    assert formulas_varlen.lengths(torch.empty(3, device="meta")) is None
    # Of a batch that is not packed the backward is given empty ends, or ends of another kind: it looks at the queries.
    ends = {"cum_seq_q": ENDS[0], "cum_seq_k": ENDS[1]}
    assert work(aten._flash_attention_backward.default, **ROWS, **{**FLASH, **ends}).flops == 48 * HEADS * ALL
    assert work(aten._cudnn_attention_backward.default, **FUSED, **{**CUDNN, **ends}).flops == 48 * HEADS * ALL


def test_the_fast_path_projects_four_times_and_mixes() -> None:
    """Width 8, two heads, two sequences of 5 queries and 7 keys: products with [8, 8] for 10, 14, 14 and 10 tokens."""
    projections = 2 * (10 + 14 + 14 + 10) * 64
    found = work(aten._native_multi_head_attention.default, t(2, 5, 8), t(2, 7, 8), t(2, 7, 8), 8, 2, t(24, 8))
    pairs = 2 * 2 * 35
    assert found[:3] == (projections + 4 * 4 * pairs, pairs, 4 * pairs)


def test_the_encoders_fast_path_adds_its_ffn() -> None:
    """Ten tokens: four products with [8, 8], two with [12, 8], and 2 * 2 * 25 pairs of width 4."""
    norms = [t(8)] * 4
    rest = (t(24), t(8, 8), t(8), True, False, 1e-5, *norms, t(12, 8), t(12), t(8, 12), t(8))
    found = work(aten._transformer_encoder_layer_fwd.default, t(2, 5, 8), 8, 2, t(24, 8), *rest)
    assert found.flops == 4 * 2 * 10 * 64 + 2 * 2 * 10 * 12 * 8 + 4 * 4 * 100


def blocks(*live: int) -> Tensor:
    return torch.tensor(live, dtype=torch.int32).view(1, 2, -1)


def test_tiles_of_a_block_mask_are_those_of_a_head() -> None:
    """Two heads: partial tiles 1 + 2 and 3 + 0, full ones 0 + 1 and 1 + 2: ten, of 16 x 8, five a head."""
    indices = torch.zeros(1, 2, 2, 3)
    mask = (32, 24, blocks(1, 2, 3, 0), indices, blocks(0, 1, 1, 2), indices, blocks(9, 9, 9, 9), 16, 8, print)
    q, k, v = t(1, 2, 32, 4), t(1, 2, 24, 4), t(1, 2, 24, 6)
    assert formulas_attention.live_tiles(q, k, mask) == KernelTiles(5 * 16 * 8, "16 x 8 (live tiles of the BlockMask)")
    partial_alone = (*mask[:4], None, None, *mask[6:])
    assert formulas_attention.live_tiles(q, k, partial_alone).pairs == 3 * 16 * 8
    whole = 2**30  # the side of the one tile that torch makes of no mask at all
    assert formulas_attention.live_tiles(q, k, (*mask[:7], whole, whole, print)).pairs == 32 * 24
    assert formulas_attention.flex(q, k, v, None, mask, out=None).flops == 20 * 2 * 640
    back = formulas_attention.flex_backward(q, k, v, None, None, None, None, None, None, mask, out=None)  # type: ignore[arg-type]
    assert back.flops == 48 * 2 * 640


K, P = 6, 9
SQUARE, TALL, WIDE = t(K, K), t(P, K), t(K, P)
TWO = t(2, K, K)
COMPLEX = t(K, K, dtype=torch.complex64)
LINEAR_ALGEBRA = [
    (aten.linalg_inv_ex, (TWO,), {}, 2 * 2 * 216),
    (aten.linalg_inv_ex, (COMPLEX,), {}, 4 * 2 * 216),
    (aten.linalg_ldl_factor_ex, (SQUARE,), {}, 72),
    (aten.cholesky_inverse, (TWO,), {}, 2 * 144),
    (aten.linalg_lu, (TALL,), {}, 36 * (9 - 2)),
    (aten.linalg_lu, (WIDE,), {}, 36 * (9 - 2)),
    # A vector, a batch of vectors, one matrix for a batch, and rows on the other side: 72 a right-hand side.
    (aten._linalg_solve_ex, (), {"A": SQUARE, "B": t(K), "left": True}, 144 + 72),
    (aten._linalg_solve_ex, (), {"A": TWO, "B": t(2, K), "left": True}, 2 * (144 + 72)),
    (aten._linalg_solve_ex, (), {"A": TWO, "B": t(K, 5), "left": True}, 2 * (144 + 5 * 72)),
    (aten._linalg_solve_ex, (), {"A": TWO, "B": t(2, K, 5), "left": True}, 2 * (144 + 5 * 72)),
    (aten._linalg_solve_ex, (), {"A": TWO, "B": t(2, 5, K), "left": False}, 2 * (144 + 5 * 72)),
    (aten.linalg_lu_solve, (), {"LU": TWO, "B": t(2, 5, K), "left": False}, 2 * 5 * 72),
    (aten.linalg_ldl_solve, (SQUARE, t(K), t(K, 5)), {}, 5 * 72),
    (aten.cholesky_solve, (t(K, 5), SQUARE), {}, 5 * 72),
    (aten.linalg_solve_triangular, (), {"self": SQUARE, "B": t(K, 5), "left": True}, 5 * 36),
    (aten.triangular_solve, (t(K, 5), SQUARE), {}, 5 * 36),
    (aten.geqrf, (WIDE,), {}, 2 * 36 * (9 - 2)),
    (aten.linalg_qr, (TALL, "r"), {}, 504),
    (aten.linalg_qr, (TALL, "reduced"), {}, 504 + 504),
    # All nine columns: 4 * 81 * 6 - 2 * 18 * 36 + 4 * 216 / 3 = 936. Of a wide one all six: 4 / 3 k^3 = 288.
    (aten.linalg_qr, (TALL, "complete"), {}, 504 + 936),
    (aten.linalg_qr, (WIDE, "complete"), {}, 504 + 288),
    # Three reflections of length 9, six columns: 4 * 9 * 6 * 3 - 2 * 15 * 9 + 4 * 27 / 3 = 414.
    (aten.linalg_householder_product, (TALL, t(3)), {}, 414),
    # Applied to [9, 4]: 4 * 9 * 4 * 3 from either side, less 2 * 4 * 9 or 2 * 9 * 9.
    (aten.ormqr, (), {"self": TALL, "input2": t(3), "input3": t(P, 4), "left": True}, 432 - 72),
    (aten.ormqr, (), {"self": TALL, "input2": t(3), "input3": t(P, 4), "left": False}, 432 - 162),
    # R, and for each of five right-hand sides 4 * 54 - 2 * 36 + 36.
    (aten.linalg_lstsq, (TALL, t(P, 5)), {}, 504 + 5 * 180),
    (aten._linalg_eigh, (TWO, "L", True), {}, 2 * 9 * 216),
    (aten._linalg_eigh, (SQUARE, "L", False), {}, 288),
    (aten.linalg_eig, (SQUARE,), {}, 25 * 216),
    (aten.linalg_eigvals, (SQUARE,), {}, 10 * 216),
    (aten._linalg_svd, (TALL, False, False), {}, 4 * 36 * 7),
    (aten._linalg_svd, (WIDE, False, True), {}, 14 * 9 * 36 + 8 * 216),
    (aten._linalg_svd, (TALL, True, True), {}, 4 * 81 * 6 + 8 * 9 * 36 + 9 * 216),
    (aten._linalg_svd, (SQUARE, True, True), {}, (14 + 8) * 216),
    (aten.linalg_pinv, (), {"self": TALL, "hermitian": False}, 14 * 9 * 36 + 8 * 216 + 2 * 9 * 36),
    (aten.linalg_pinv, (), {"self": SQUARE, "hermitian": True}, 9 * 216 + 2 * 216),
    # Three tensors of 20 elements, combined twice.
    (aten._compute_linear_combination, (t(3, 4, 5), t(2, 3)), {}, 2 * 2 * 3 * 20),
]


@pytest.mark.parametrize(("packet", "args", "given", "expected"), LINEAR_ALGEBRA)
def test_linear_algebra_by_the_books_counts(packet: Any, args: Any, given: dict[str, Any], expected: int) -> None:
    assert work(getattr(packet, packet.overloads()[0]), *args, **given).flops == expected


def test_iterations_name_their_convention() -> None:
    for packet, a in ((aten._linalg_eigh, SQUARE), (aten.linalg_eig, SQUARE), (aten._linalg_svd, TALL)):
        assert "Golub" in work(packet.default, a).convention  # type: ignore[operator]


@pytest.mark.parametrize(("points", "batch", "expected"), [(8, 3, 5 * 8 * 3 * 3), (2, 1, 10), (1, 7, 0), (0, 7, 0)])
def test_a_fourier_transform_is_5_n_log_n(points: int, batch: int, expected: int) -> None:
    assert transform_flops(points, batch, 5) == expected


def test_fourier_transforms_of_real_numbers_are_half() -> None:
    real, half, whole = t(3, 8), t(3, 5, dtype=torch.complex64), t(3, 8, dtype=torch.complex64)
    assert work(aten._fft_c2c.default, whole, [1], 0, True, out=whole).flops == 3 * 5 * 8 * 3
    assert work(aten._fft_r2c.default, real, [1], 0, True, out=half).flops == 3 * 5 * 8 * 3 // 2
    assert work(aten._fft_c2r.default, half, [1], 0, 8, out=real).flops == 3 * 5 * 8 * 3 // 2
    assert work(aten._fft_c2c.default, t(2, 4, 8, dtype=torch.complex64), [1, 2], 0, True, out=None).flops == 1600


# x [3, 4] or [2, 3, 4], weights to width 5.
X, Y = t(3, 4), t(4, 5)
MATRICES = [
    (aten.linear_backward, (), {"self": X, "weight": t(5, 4), "output_mask": (True, False, True)}, 120),
    (aten.linear_backward, (), {"self": X, "weight": t(5, 4), "output_mask": (True, True, True)}, 240),
    (aten.linear_backward, (), {"self": X, "weight": t(5, 4), "output_mask": (False, True, True)}, 120),
    (aten.mkldnn_linear_backward_input, (), {"grad_output": t(3, 5), "weight": t(5, 4)}, 120),
    (aten.mkldnn_linear_backward_weights, (), {"grad_output": t(3, 5), "input": X}, 120),
    (aten.matmul_backward, (), {"grad": t(3, 5), "self": X, "mask": (True, False)}, 120),
    (aten.matmul_backward, (), {"grad": t(3, 5), "self": X, "mask": (False, True)}, 120),
    (aten._sparse_semi_structured_mm, (t(3, 2), t(3, 1), Y), {}, 60),
    (aten._sparse_semi_structured_addmm, (t(3, 5), t(3, 2), t(3, 1), Y), {}, 60),
    (aten._sparse_semi_structured_linear, (X, t(5, 2), t(5, 1)), {}, 60),
    (aten._cslt_sparse_mm, (t(17), Y), {"out": t(3, 5)}, 60),
    (aten._foreach_mm, ([X, X], [Y, t(4, 1)]), {}, 120 + 24),
    (aten._addmm_activation, (t(5), X, Y), {"out": t(3, 5)}, 120),
    (aten.linear, (t(2, 3, 4), t(5, 4)), {"out": t(2, 3, 5)}, 240),
    (aten.addr, (t(3, 4), t(3), t(4)), {}, 24),
    # a_ij b_jk c_ik ...: [2, 1, 3, 4] first, then [2, 5, 3, 4]; with a c that lacks the last side, [2, 5, 3].
    (aten._trilinear, (t(2, 3), t(2, 4), t(5, 3, 4), [1, 3], [1, 2], [0], [2, 3]), {}, 2 * (24 + 120)),
    (aten._trilinear, (t(2, 3), t(2, 4), t(5, 3), [1, 3], [1, 2], [0, 3], [2, 3]), {}, 2 * (24 + 30)),
]


@pytest.mark.parametrize(("packet", "args", "given", "expected"), MATRICES)
def test_products_of_matrices_in_other_operators(packet: Any, args: Any, given: dict[str, Any], expected: int) -> None:
    assert work(getattr(packet, packet.overloads()[0]), *args, **given).flops == expected


def test_an_activation_in_the_same_kernel_is_other_work() -> None:
    assert work(aten._addmm_activation.default, t(5), X, Y, out=t(3, 5)).arith_ops == 15
    x, weight = t(2, 4, 7, 7), t(6, 4, 3, 3)
    found = work(aten.cudnn_convolution_relu.default, x, weight, None, out=t(2, 6, 5, 5))
    assert found[:3] == (2 * 300 * 36, 0, 300)


def test_four_bit_numbers_lie_two_in_an_element() -> None:
    packed = SimpleNamespace(shape=(3, 2), dtype="torch.float4_e2m1fn_x2", is_complex=lambda: False)
    assert applied(packed, 5) == 120  # type: ignore[arg-type]
