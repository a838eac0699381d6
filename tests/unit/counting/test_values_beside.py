"""OperatorWork beside matrix products, by hand: distances, bags, recurrences, convolutions, and what is no FLOP."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from attnprof.counting import operators
from attnprof.counting.counter import learn
from attnprof.counting.formulas import OperatorWork, formula_of

aten = torch.ops.aten


def t(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.empty(shape, dtype=dtype)


def work(operator: Any, *args: Any, out: Any = None, **given: Any) -> tuple[int, int, int, int]:
    """FLOPs, exponentials, other operations and selections of a call, by its formula."""
    formula = formula_of(operator)
    assert formula is not None
    found = formula(*args, out=out, **given)
    return found[:4] if isinstance(found, OperatorWork) else (found, 0, 0, 0)  # type: ignore[return-value]


def distances(n: int, m: int, p: float = 2.0, mode: int | None = None) -> tuple[int, int, int, int]:
    return work(aten._cdist_forward.default, t(n, 6), t(m, 6), p, mode, out=t(n, m))


@pytest.mark.parametrize(
    ("n", "m", "p", "mode", "as_product"),
    [
        (25, 25, 2.0, None, False),  # the kernel's limit
        (26, 4, 2.0, None, True),
        (4, 26, 2.0, None, True),
        (4, 4, 2.0, 1, True),  # asked for
        (40, 40, 2.0, 2, False),  # asked against
        (40, 40, 1.0, None, False),
        (40, 40, 1.0, 1, False),
    ],
)
def test_distances_are_a_product_where_torch_makes_them_one(
    n: int, m: int, p: float, mode: int | None, as_product: bool
) -> None:
    """A product of vectors of 6 + 2, and two operations a pair; else three for each of six places of a pair."""
    expected = (2 * n * m * 8, 0, 2 * n * m, 0) if as_product else (0, 0, 3 * n * m * 6, 0)
    assert distances(n, m, p, mode) == expected


def test_gradients_of_distances_are_four_operations_a_place() -> None:
    assert work(aten._cdist_backward.default, t(5, 7), t(5, 6)) == (0, 0, 4 * 35 * 6, 0)
    assert work(aten._pdist_forward.default, t(5, 6), out=t(10)) == (0, 0, 3 * 10 * 6, 0)
    assert work(aten._pdist_backward.default, t(10), t(5, 6)) == (0, 0, 4 * 10 * 6, 0)


def test_bags_pick_rows_and_multiply_where_rows_are_weighted() -> None:
    """Twelve rows of 8: 96 elements, added up, or multiplied by weights and added up."""
    plain, weighted = (0, 0, 96, 96), (192, 0, 0, 96)
    given = {"indices": t(12), "weight": t(20, 8), "grad": t(3, 8)}
    for name in ("_embedding_bag", "_embedding_bag_forward_only", "_embedding_bag_dense_backward"):
        assert work(getattr(aten, name).default, **given, per_sample_weights=None) == plain
        assert work(getattr(aten, name).default, **given, per_sample_weights=t(12)) == weighted
    assert work(aten._embedding_bag_per_sample_weights_backward.default, **given) == weighted


def test_grids_are_matrices_applied_to_places() -> None:
    """4 x 5 places of two images in three coordinates, to two: 2 * 2 * 20 * 2 * 3."""
    theta, grid = t(2, 2, 3), t(2, 4, 5, 2)
    for name in ("affine_grid_generator", "cudnn_affine_grid_generator"):
        assert work(getattr(aten, name).default, theta, out=grid)[0] == 480
    assert work(aten.cudnn_affine_grid_generator_backward.default, grid, out=theta)[0] == 480


# An LSTM of width 5 and state 3 over 7 tokens of 2 sequences: W_ih [12, 5] and W_hh [12, 3] for each.
TOKENS, GATES = t(7, 2, 5), (t(12, 5), t(12, 3), t(12), t(12))
ONCE = 2 * 14 * (60 + 36)


def test_recurrences_apply_their_weights_to_every_token() -> None:
    named = {f"weight{at}": w for at, w in enumerate(GATES)}
    forward = work(aten.mkldnn_rnn_layer.default, input=TOKENS, hidden_size=3, **named)
    assert forward == (ONCE, 5 * 14 * 3, 12 * 14 * 3, 0)
    shifted = {f"weight{at}": w for at, w in enumerate(GATES, start=1)}
    assert work(aten.mkldnn_rnn_layer_backward.default, input=TOKENS, **shifted)[0] == 2 * ONCE
    for name in ("_cudnn_rnn", "miopen_rnn"):
        assert work(getattr(aten, name).default, input=TOKENS, weight=GATES)[0] == ONCE
        for asked, times in ((True, 2), (False, 1)):
            mask = (not asked, not asked, not asked, asked)
            back = getattr(aten, f"{name}_backward").default
            assert work(back, input=TOKENS, weight=GATES, output_mask=mask)[0] == times * ONCE
    assert work(aten._lstm_mps.default, input=TOKENS, params=GATES)[0] == ONCE
    assert work(aten.lstm_mps_backward.default, input=TOKENS, params=GATES)[0] == 2 * ONCE


# Four channels to six in two groups, three taps, 7 places to 5, two sequences.
IN, OUT, FILTERS, BACK = t(2, 4, 7), t(2, 6, 5), t(6, 2, 3), t(4, 3, 3)


def test_convolutions_apply_every_filter_at_every_place() -> None:
    forward, transposed = 2 * (2 * 6 * 5) * 6, 2 * (2 * 4 * 7) * 9
    assert work(aten.convolution.default, input=IN, weight=FILTERS, transposed=False, out=OUT)[0] == forward
    assert work(aten.convolution.default, input=IN, weight=BACK, transposed=True, out=OUT)[0] == transposed
    assert work(aten.cudnn_convolution.default, IN, FILTERS, out=OUT)[0] == forward
    assert work(aten.cudnn_convolution_transpose.default, IN, BACK, out=OUT)[0] == transposed
    complex_in, complex_out = (x.to(torch.complex64) for x in (IN, OUT))
    assert work(aten.cudnn_convolution.default, complex_in, FILTERS, out=complex_out)[0] == 4 * forward
    # [T, b, c] with [taps, c_in, c_out].
    assert work(aten.conv_tbc.default, t(7, 2, 4), t(3, 4, 6), out=t(5, 2, 6))[0] == 2 * 60 * 12


@pytest.mark.parametrize(
    ("mask", "times"), [((True, True, True), 2), ((True, False, True), 1), ((False, True, False), 1)]
)
def test_gradients_of_convolutions_cost_the_forward_each(mask: tuple[bool, ...], times: int) -> None:
    named = {"grad_output": OUT, "weight": FILTERS, "output_mask": mask}
    for name in ("convolution_backward", "_slow_conv2d_backward", "mps_convolution_backward"):
        packet = getattr(aten, name)
        operator = getattr(packet, packet.overloads()[-1])
        assert work(operator, input=IN, self=IN, transposed=False, **named)[0] == times * 720
    named = {"grad_output": OUT, "weight": BACK, "output_mask": mask}
    assert work(aten.convolution_backward.default, input=IN, transposed=True, **named)[0] == times * 1008
    assert work(aten.mps_convolution_transpose_backward.default, self=IN, **named)[0] == times * 1008


# One pass over the elements each, in the order that the kernel goes; `exp` is an exponential, `log` too.
STEPS = {
    "_softmax": "max sub exp sum div",
    "_safe_softmax": "max sub exp sum div dead",
    "_masked_softmax": "mask max sub exp sum div",
    "softmax": "max sub exp sum div",
    "_log_softmax": "max sub exp sum sub",
    "log_softmax": "max sub exp sum sub",
    "_softmax_backward_data": "mul sum sub mul",
    "_masked_softmax_backward": "mul sum sub mul",
    "_log_softmax_backward_data": "sum exp mul sub",
    "logsumexp": "max sub exp sum",
    "_thnn_fused_lstm_cell": "exp mul mul add",
    "_thnn_fused_lstm_cell_backward_impl": "mul mul mul mul sub add",
    "_thnn_fused_gru_cell": "exp mul mul add",
    "_thnn_fused_gru_cell_backward": "mul mul mul mul sub add",
    "native_layer_norm": "sum sub square sum mul scale shift",
    "native_layer_norm_backward": "sub mul scale sum mul sum mul sub sub mul shift",
    "_fused_rms_norm": "square sum mul scale",
    "_fused_rms_norm_backward": "mul scale mul sum mul sub mul shift",
    "native_group_norm": "sum sub square sum mul scale shift",
    "native_group_norm_backward": "sub mul scale sum mul sum mul sub sub mul shift",
    "native_batch_norm": "sum sub square sum mul scale shift",
    "_native_batch_norm_legit": "sum sub square sum mul scale shift",
    "native_batch_norm_backward": "sub mul scale sum mul sum mul sub sub mul shift",
    "native_dropout": "mask scale",
    "native_dropout_backward": "mask scale",
    "cumsum": "add",
    "cumprod": "mul",
    "cummax": "max",
    "cummin": "min",
    "_cummax_helper": "max",
    "_cummin_helper": "min",
    "logcumsumexp": "max sub exp add",
    "_logcumsumexp": "max sub exp add",
    "glu": "exp mul",
    "glu_backward": "exp mul mul sub",
    "renorm": "square sum scale",
    "_weight_norm_interface": "square sum scale",
    "_weight_norm_interface_backward": "mul sum mul sub scale",
    "avg_pool2d": "add",
    "avg_pool2d_backward": "add",
    "_adaptive_avg_pool2d": "add",
    "_adaptive_avg_pool2d_backward": "add",
    "max_pool2d_with_indices": "max",
    "max_pool2d_with_indices_backward": "add",
    "mse_loss": "sub square sum",
    "mse_loss_backward": "sub mul scale",
    "nll_loss_forward": "add",
    "nll_loss_backward": "mul",
    "binary_cross_entropy": "log log sub mul mul add",
    "linalg_vector_norm": "square sum",
    "linalg_cross": "mul mul sub mul add",
    "std": "sub square sum",
    "std_mean": "sub square sum",
    "var": "sub square sum",
    "var_mean": "sub square sum",
    "argmax": "max",
    "argmin": "min",
    "segment_reduce": "add",
}


def steps(text: str) -> tuple[int, int]:
    """Exponentials, and other operations."""
    heavy = sum(word in ("exp", "log") for word in text.split())
    return heavy, len(text.split()) - heavy


def test_passes_over_the_elements_are_those_of_each_step() -> None:
    assert {name: steps(text) for name, text in STEPS.items()} == operators.COMPOSITES


def test_composites_pass_over_their_first_argument() -> None:
    """A softmax of 3 x 4: twelve exponentials and 48 other operations; a sum: twelve; a sort orders all it is given."""
    x = t(3, 4)
    for operator, args, out, expected in (
        (aten._softmax.default, (x, -1, False), x, (0, 12, 48, 0)),
        (aten.sum.dim_IntList, (x, [1]), t(3), (0, 0, 12, 0)),
        (aten.exp.default, (x,), x, (0, 12, 0, 0)),
        (aten.add.Tensor, (x, t(4)), x, (0, 0, 12, 0)),
        (aten.sort.default, (x,), (x, x), (0, 0, 0, 12)),
        (aten.nanmedian.default, (x,), t(1), (0, 0, 0, 12)),
        (aten.gather.default, (x, 1, t(3, 2, dtype=torch.int64)), t(3, 2), (0, 0, 0, 6)),
        (aten.index_add.default, (x, 0, t(2, dtype=torch.int64), t(2, 4)), x, (0, 0, 0, 8)),
    ):
        assert learn(operator).work(args, out)[:4] == expected, operator  # type: ignore[misc, index]
