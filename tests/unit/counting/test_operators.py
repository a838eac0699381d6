"""Every overload of torch's operators is costed, known to have no products, or named with the reason why it is not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch

from attnprof.counting import operators, uncounted
from attnprof.counting.classify import OperatorKind, kind_of
from attnprof.counting.formulas import formula_of
from attnprof.counting.uncounted import REASONS, reason_of
from attnprof.counting.variants import base_name, functional, is_composite, out_arguments, writes_first

aten = torch.ops.aten


def overloads() -> Iterator[Any]:
    """Every overload of `torch.ops.aten` that the dispatcher knows (`dir` shows only those that were asked for)."""
    for name in sorted(torch._C._dispatch_get_all_op_names()):
        space, _, rest = name.partition("::")
        if space == "aten":
            packet, _, overload = rest.partition(".")
            yield getattr(getattr(aten, packet), overload or "default")


EVERY = list(overloads())


def kind(operator: Any) -> OperatorKind:
    return OperatorKind.COUNTED if formula_of(operator) else kind_of(operator)


def test_the_walk_sees_what_the_dispatcher_sees() -> None:
    assert len(EVERY) > 2500
    assert {aten.mm.default, aten.addmm_.default, aten.addmm.out, aten._linalg_svd.U} <= set(EVERY)


def test_every_overload_is_costed_known_to_have_no_products_or_named_with_a_reason() -> None:
    unknown = [o for o in EVERY if kind(o) is OperatorKind.UNKNOWN]
    assert [o.name() for o in unknown if not reason_of(o)] == []
    assert [
        o.name() for o in EVERY if reason_of(o) and kind(o) is not OperatorKind.UNKNOWN and not is_composite(o)
    ] == []


def test_variants_of_a_costed_operator_are_costed() -> None:
    costed = {base_name(o) for o in EVERY if formula_of(o)}
    family = costed | {f"{name}_" for name in costed}
    missing = [o.name() for o in EVERY if base_name(o) in family and not formula_of(o) and not is_composite(o)]
    assert missing == []


def test_a_variant_is_of_the_kind_of_what_it_is_a_variant_of() -> None:
    pairs = [(o, functional(o)) for o in EVERY if functional(o) is not o]
    assert len(pairs) > 1300
    # A composite may have a variant that is not one, and the other way round.
    mixed = [(a, b) for a, b in pairs if not is_composite(a) and not is_composite(b)]
    assert [(a.name(), b.name()) for a, b in mixed if kind(a) is not kind(b)] == []


def test_a_functional_overload_writes_nothing_and_is_its_own() -> None:
    for operator in EVERY:
        found = functional(operator)
        if found is not operator:
            assert not out_arguments(found)
            assert not writes_first(found)
            assert functional(found) is found


# Every product that torch's own counter knows, and what it does not: none of them may be taken for something light.
PRODUCTS = operators.words(
    """
    _addmm_activation _cdist_forward _compute_linear_combination _conv_depthwise2d _convolution _cslt_sparse_mm
    _cudnn_attention_backward _cudnn_attention_forward _cudnn_rnn _cudnn_rnn_backward _dyn_quant_matmul_4bit
    _efficient_attention_backward _efficient_attention_forward _embedding_bag _embedding_bag_backward
    _embedding_bag_dense_backward _embedding_bag_per_sample_weights_backward _euclidean_dist _fft_c2c _fft_c2r
    _fft_r2c _flash_attention_backward _flash_attention_forward _foreach_mm _grouped_mm _int_mm _linalg_det
    _linalg_eigh _linalg_slogdet _linalg_solve_ex _linalg_svd _lstm_mps _mixed_dtypes_linear
    _native_multi_head_attention _scaled_dot_product_attention_math_for_mps _scaled_dot_product_cudnn_attention
    _scaled_dot_product_efficient_attention _scaled_dot_product_flash_attention
    _scaled_dot_product_flash_attention_for_cpu _scaled_dot_product_fused_attention_overrideable
    _scaled_dot_product_fused_attention_overrideable_backward _scaled_grouped_mm _scaled_grouped_mm_v2 _scaled_mm
    _scaled_mm_v2 _slow_conv2d_backward _slow_conv2d_forward _sparse_semi_structured_addmm
    _sparse_semi_structured_linear _sparse_semi_structured_mm _transformer_encoder_layer_fwd _trilinear
    _triton_multi_head_attention _triton_scaled_dot_attention _weight_int4pack_mm _weight_int8pack_mm addbmm addmm
    addmv addr affine_grid_generator baddbmm bmm cholesky cholesky_inverse cholesky_solve conv_depthwise3d conv_tbc
    convolution convolution_backward cudnn_convolution cudnn_convolution_relu cudnn_convolution_transpose dot geqrf
    linalg_cholesky_ex linalg_eig linalg_eigvals linalg_householder_product linalg_inv_ex linalg_ldl_factor_ex
    linalg_ldl_solve linalg_lstsq linalg_lu linalg_lu_factor_ex linalg_lu_solve linalg_pinv linalg_qr
    linalg_solve_triangular linear linear_backward lstm_mps_backward matmul_backward miopen_rnn mkldnn_convolution
    mkldnn_linear mkldnn_linear_backward_input mkldnn_linear_backward_weights mkldnn_rnn_layer
    mkldnn_rnn_layer_backward mm mv ormqr slow_conv3d_forward slow_conv_dilated2d slow_conv_transpose2d
    triangular_solve vdot
    """
)


@pytest.mark.parametrize("name", sorted(PRODUCTS))
def test_an_operator_with_products_has_a_formula_in_every_overload(name: str) -> None:
    packet = getattr(aten, name)
    assert all(kind(getattr(packet, o)) in (OperatorKind.COUNTED, OperatorKind.COMPOSITE) for o in packet.overloads())
    assert any(kind(getattr(packet, o)) is OperatorKind.COUNTED for o in packet.overloads())


def test_torchs_own_counter_knows_no_product_that_has_no_formula() -> None:
    from torch.utils.flop_counter import flop_registry

    theirs = [o for o in flop_registry if isinstance(o, torch._ops.OpOverloadPacket)]
    every = [getattr(packet, overload) for packet in theirs for overload in packet.overloads()]
    assert len(theirs) > 10
    assert [o.name() for o in every if formula_of(o) is None] == []


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("unsafe_split.Tensor", OperatorKind.VIEW),
        ("transpose_", OperatorKind.VIEW),
        ("squeeze_.dim", OperatorKind.VIEW),
        ("_linalg_check_errors", OperatorKind.VIEW),
        ("_fused_sdp_choice", OperatorKind.VIEW),
        ("matmul", OperatorKind.COMPOSITE),
        ("einsum", OperatorKind.COMPOSITE),
        ("clone.out", OperatorKind.COPY),
        ("normal_functional", OperatorKind.COPY),
        ("mul_.Tensor", OperatorKind.POINTWISE),
        ("mul.out", OperatorKind.POINTWISE),
        ("_foreach_mul_.Scalar", OperatorKind.POINTWISE),
        ("_foreach_norm.Scalar", OperatorKind.REDUCTION),
        ("max.other", OperatorKind.COMPOSITE),
        ("max.dim_max", OperatorKind.REDUCTION),
        ("sum.IntList_out", OperatorKind.REDUCTION),
        ("sort.values_stable", OperatorKind.SELECT),
        ("index_add_", OperatorKind.SELECT),
        ("linalg_matrix_exp", OperatorKind.UNKNOWN),
        ("_sparse_addmm", OperatorKind.UNKNOWN),
    ],
)
def test_the_kind_of_some_operators(name: str, expected: OperatorKind) -> None:
    packet, _, overload = name.partition(".")
    assert kind(getattr(getattr(aten, packet), overload or "default")) is expected


TABLES = ("ANSWERS", "VIEWS", "COPIES", "SELECTS", "POINTWISE", "EXPONENTIALS", "REDUCTIONS", "COMPOSITES")


def test_tables_name_operators_that_exist_and_each_once() -> None:
    known = {base_name(o) for o in EVERY}
    inner = {name.removeprefix("_foreach_").removesuffix("_") for name in known if name.startswith("_foreach_")}
    tables = {name: set(getattr(operators, name)) for name in TABLES}
    tables["REASONS"] = set().union(*REASONS.values())
    for name, table in tables.items():
        assert table - known - inner == set(), name
    owners = [(a, b) for a in tables for b in tables if a < b and tables[a] & tables[b]]
    assert owners == [], [tables[a] & tables[b] for a, b in owners]
    assert operators.SORTS <= operators.SELECTS


def test_the_reasons_are_few_and_no_dustbin() -> None:
    assert sum(map(len, uncounted.REASONS.values())) < 40
    assert all(len(reason) > 25 for reason in uncounted.REASONS)
    assert reason_of(torch.ops.prims.exp.default) == ""
