"""Formulas against hand counts: one operator at a time, in all its variants, and modules that hide products."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from attnprof.counting import count
from attnprof.counting.counter import OperatorCounter
from attnprof.counting.formulas import OperatorWork, formula_of
from attnprof.counting.origin import Origin
from attnprof.counting.registry import Unknowable
from attnprof.counting.storages import Lifetimes
from attnprof.counting.tally import OperatorTally
from attnprof.records import Cost
from attnprof.shapes import Shape
from attnprof.words import Pass
from tests.unit.counting.modules import ModuleTarget

aten = torch.ops.aten
PASSES = (Pass.FORWARD, Pass.TRAIN)
Call = Callable[[], Any]
COMPLEX = torch.complex64


def t(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.ones(shape, dtype=dtype)


def tallied(call: Call) -> OperatorTally:
    tally = OperatorTally()
    with OperatorCounter(tally, Lifetimes(), Origin()):
        call()
    return tally


def flops(call: Call) -> int:
    """FLOPs of what a call runs on real tensors; an uncounted operator fails."""
    tally = tallied(call)
    assert not tally.uncounted, tally.why_uncounted()
    return tally.flops


def half(*shape: int) -> Tensor:
    return t(*shape, dtype=torch.bfloat16)


def ends(*at: int) -> Tensor:
    return torch.tensor(at, dtype=torch.int32)


# A multiply-add is 2, so [3, 4] @ [4, 5] is 2 * 3 * 4 * 5 = 120, and two of them 240.
FAMILIES: dict[str, tuple[int, list[Call]]] = {
    "mm": (120, [
        lambda: torch.mm(t(3, 4), t(4, 5)),
        lambda: torch.mm(t(3, 4), t(4, 5), out=t(3, 5)),
        lambda: aten._foreach_mm([t(3, 4)], [t(4, 5)]),
        lambda: aten.linear.out(t(3, 4), t(5, 4), out=t(3, 5)),
        lambda: torch._int_mm(t(3, 4, dtype=torch.int8), t(4, 5, dtype=torch.int8)),
    ]),
    "addmm": (120, [
        lambda: torch.addmm(t(3, 5), t(3, 4), t(4, 5)),
        lambda: torch.addmm(t(3, 5), t(3, 4), t(4, 5), beta=0.5, alpha=2, out=t(3, 5)),
        lambda: t(3, 5).addmm_(t(3, 4), t(4, 5)),
        lambda: aten._addmm_activation(t(5), t(3, 4), t(4, 5)),
    ]),
    "bmm": (240, [
        lambda: torch.bmm(t(2, 3, 4), t(2, 4, 5)),
        lambda: torch.bmm(t(2, 3, 4), t(2, 4, 5), out=t(2, 3, 5)),
        lambda: torch.baddbmm(t(2, 3, 5), t(2, 3, 4), t(2, 4, 5)),
        lambda: torch.baddbmm(t(2, 3, 5), t(2, 3, 4), t(2, 4, 5), out=t(2, 3, 5)),
        lambda: t(2, 3, 5).baddbmm_(t(2, 3, 4), t(2, 4, 5)),
        lambda: torch.addbmm(t(3, 5), t(2, 3, 4), t(2, 4, 5)),
        lambda: torch.addbmm(t(3, 5), t(2, 3, 4), t(2, 4, 5), out=t(3, 5)),
        lambda: t(3, 5).addbmm_(t(2, 3, 4), t(2, 4, 5)),
        lambda: torch.einsum("bpq,bqr->bpr", t(2, 3, 4), t(2, 4, 5)),
        lambda: torch.matmul(t(2, 3, 4), t(2, 4, 5), out=t(2, 3, 5)),
        lambda: torch.tensordot(t(2, 3, 4), t(4, 5), 1),
    ]),
    "vectors": (24, [
        lambda: torch.mv(t(3, 4), t(4)),
        lambda: torch.mv(t(3, 4), t(4), out=t(3)),
        lambda: torch.addmv(t(3), t(3, 4), t(4)),
        lambda: t(3).addmv_(t(3, 4), t(4)),
        lambda: torch.addr(t(3, 4), t(3), t(4)),
        lambda: torch.addr(t(3, 4), t(3), t(4), out=t(3, 4)),
        lambda: t(3, 4).addr_(t(3), t(4)),
        lambda: torch.dot(t(12), t(12)),
        lambda: torch.vdot(t(12), t(12), out=t()),
        lambda: torch.inner(t(12), t(12)),
    ]),
    "complex, four real products": (480, [
        lambda: torch.mm(t(3, 4, dtype=COMPLEX), t(4, 5, dtype=COMPLEX)),
        lambda: t(3, 5, dtype=COMPLEX).addmm_(t(3, 4, dtype=COMPLEX), t(4, 5, dtype=COMPLEX)),
    ]),
    "no products": (0, [
        lambda: t(4, 6).transpose_(0, 1).unsqueeze_(0).squeeze_(0).t_(),
        lambda: torch.unsafe_split(t(4, 6), 2),
        lambda: torch.outer(t(3), t(4)),
        lambda: torch._foreach_add_([t(3)], [t(3)]),
        lambda: t(3).mul_(2).normal_(),
        lambda: torch.dist(t(3), t(3)),
        lambda: torch.linalg.cross(t(4, 3), t(4, 3)),
        lambda: F.interpolate(t(1, 2, 4, 4), scale_factor=2, mode="bicubic"),
    ]),
    # 8 rows of 8 in groups that end at 3 and 8: 2 * 8 * 8 * 8.
    "grouped rows": (1024, [lambda: aten._grouped_mm(half(8, 8), half(2, 8, 8), ends(3, 8))]),
    # Two groups of 8 rows, 16 columns in groups; K of 16 in groups; two whole products: 2 * 8 * 8 * 16 each.
    "grouped otherwise": (2048, [
        lambda: aten._grouped_mm(half(2, 8, 8), half(8, 16), ends(8, 16)),
        lambda: aten._grouped_mm(half(8, 16), half(16, 8), ends(8, 16)),
        lambda: aten._grouped_mm(half(2, 8, 8), half(2, 8, 8)),
    ]),
    # 6 filters of 4 / 2 channels and 3 places at 7 - 2 positions, 2 sequences: 2 * 2 * 5 * 6 * 6.
    "convolution in two groups": (720, [
        lambda: F.conv1d(t(2, 4, 7), t(6, 2, 3), groups=2),
        lambda: aten.convolution(t(2, 4, 7), t(6, 2, 3), None, [1], [0], [1], False, [0], 2),
        lambda: aten.convolution.out(t(2, 4, 7), t(6, 2, 3), None, [1], [0], [1], False, [0], 2, out=t(2, 6, 5)),
        lambda: aten.mkldnn_convolution(t(2, 4, 7, 1), t(6, 2, 3, 1), None, [0, 0], [1, 1], [1, 1], 2),
    ]),
    # 4 channels at 7 places, each spread by 3 / 2 filters of 3 places and 2 groups: 2 * (2 * 4 * 7) * (3 * 3).
    "transposed convolution": (1008, [lambda: F.conv_transpose1d(t(2, 4, 7), t(4, 3, 3), groups=2)]),
    # [T, b, c] = [7, 2, 4] with [3, 4, 5] and no padding: 2 * 5 * 2 * 5 * 3 * 4.
    "convolution over time": (1200, [lambda: torch.conv_tbc(t(7, 2, 4), t(3, 4, 5), t(5))]),
    # 40 x 30 distances of vectors of 6 and two norms: 2 * 40 * 30 * 8.
    "distances": (19200, [
        lambda: torch.cdist(t(40, 6), t(30, 6)),
        lambda: aten._euclidean_dist(t(40, 6), t(30, 6)),
        lambda: torch.cdist(t(4, 6), t(300, 6), compute_mode="use_mm_for_euclid_dist"),
    ]),
    "distances by differences": (0, [
        lambda: torch.cdist(t(40, 6), t(30, 6), p=1.0),
        lambda: torch.cdist(t(40, 6), t(30, 6), compute_mode="donot_use_mm_for_euclid_dist"),
        lambda: torch.cdist(t(20, 6), t(20, 6)),
        lambda: torch.pdist(t(40, 6)),
    ]),
    # Every of 2 * 4 * 5 places in homogeneous coordinates times [2, 3]: 2 * 40 * 2 * 3.
    "affine grid": (480, [lambda: F.affine_grid(t(2, 2, 3), [2, 1, 4, 5], align_corners=False)]),
    # k = 6 and r = 3 right-hand sides.
    "inverse, 2 k^3": (432, [lambda: torch.linalg.inv(torch.eye(6)), lambda: torch.inverse(torch.eye(6))]),
    "cholesky, k^3 / 3": (72, [
        lambda: torch.linalg.cholesky(torch.eye(6)),
        lambda: torch.cholesky(torch.eye(6)),
        lambda: torch.linalg.cholesky(torch.eye(6), out=t(6, 6)),
    ]),
    "lu, 2 k^3 / 3": (144, [
        lambda: torch.linalg.lu_factor(torch.eye(6)),
        lambda: torch.linalg.lu(torch.eye(6)),
        lambda: torch.linalg.det(torch.eye(6)),
        lambda: torch.linalg.slogdet(torch.eye(6)),
        lambda: torch.cholesky_inverse(torch.eye(6)),
    ]),
    "solve, 2 k^3 / 3 + 2 k^2 r": (144 + 216, [
        lambda: torch.linalg.solve(torch.eye(6), t(6, 3)),
        lambda: torch.linalg.solve(torch.eye(6), t(3, 6), left=False),
        lambda: torch.linalg.solve(torch.eye(6), t(6, 3), out=t(6, 3)),
    ]),
    "two substitutions, 2 k^2 r": (216, [
        lambda: torch.cholesky_solve(t(6, 3), torch.eye(6)),
        lambda: torch.lu_solve(t(6, 3), torch.eye(6), ends(1, 2, 3, 4, 5, 6)),
    ]),
    "one substitution, k^2 r": (108, [
        lambda: torch.linalg.solve_triangular(torch.eye(6), t(6, 3), upper=True),
        lambda: torch.linalg.solve_triangular(torch.eye(6), t(3, 6), upper=True, left=False),
        lambda: torch.triangular_solve(t(6, 3), torch.eye(6)),
    ]),
    # [9, 6]: R is 2 * 36 * (9 - 2) = 504, and as much for the six columns of Q.
    "qr": (1008, [lambda: torch.linalg.qr(torch.eye(9, 6))]),
    "r alone": (504, [lambda: torch.linalg.qr(torch.eye(9, 6), mode="r"), lambda: torch.geqrf(torch.eye(9, 6))]),
    # Nine columns of Q: 4 (81 * 6 - 9 * 36 + 72) = 936.
    "all of q": (504 + 936, [lambda: torch.linalg.qr(torch.eye(9, 6), mode="complete")]),
    # Golub and Van Loan: 14 p k^2 + 8 k^3, 4 k^2 (p - k / 3); 9 k^3, 4 k^3 / 3; 25 k^3, 10 k^3.
    "singular vectors": (14 * 9 * 36 + 8 * 216, [lambda: torch.linalg.svd(torch.eye(9, 6), full_matrices=False)]),
    "singular values": (4 * 36 * 7, [lambda: aten._linalg_svd(torch.eye(9, 6), False, False)]),
    "symmetric vectors": (9 * 216, [lambda: torch.linalg.eigh(torch.eye(6))]),
    "symmetric values": (288, [lambda: aten._linalg_eigh(torch.eye(6), "L", False)]),
    "eigenvectors": (25 * 216, [lambda: torch.linalg.eig(torch.eye(6))]),
    "eigenvalues": (10 * 216, [lambda: aten._linalg_eigvals(torch.eye(6))]),
}  # fmt: skip

CASES = [pytest.param(expected, call, id=f"{name} {at}")
         for name, (expected, calls) in FAMILIES.items() for at, call in enumerate(calls)]  # fmt: skip


@pytest.mark.parametrize(("expected", "call"), CASES)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_every_variant_costs_what_it_does(expected: int, call: Call) -> None:
    assert flops(call) == expected


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_variants_of_one_call_run_the_same_in_inference_mode() -> None:
    """There composites reach the counter whole: they are taken apart, and cost the same."""
    for call in (lambda: F.linear(t(3, 4), t(5, 4)), lambda: torch.matmul(t(3, 4), t(4, 5)),
                 lambda: torch.einsum("pq,qr->pr", t(3, 4), t(4, 5))):  # fmt: skip
        with torch.inference_mode():
            assert flops(call) == 120


def test_an_iterative_algorithm_names_its_convention() -> None:
    certificate = tallied(lambda: torch.linalg.svd(torch.eye(4))).certificate(False)
    assert "Golub and Van Loan" in certificate.convention
    assert "Golub" not in tallied(lambda: torch.linalg.qr(torch.eye(4))).certificate(False).convention


class Wrapped(nn.Module):
    """A module and how to call it, as a module."""

    def __init__(self, inner: nn.Module, call: Callable[..., Tensor]) -> None:
        super().__init__()
        self.inner, self.call = inner, call

    def forward(self, *x: Tensor) -> Tensor:
        return self.call(self.inner, *x)


B, N, D, H = 3, 10, 8, 6
GATE = 2 * B * N * H * (D + H)  # x W and h U of one gate, for every token


def cost(inner: Callable[[], nn.Module], call: Callable[..., Tensor], pass_: Pass) -> Cost:
    target = ModuleTarget(lambda: Wrapped(inner(), call), lambda: (torch.randn(B, N, D),))
    counted = count(target, Shape(N, batch=B, dim=D, heads=1), pass_)
    assert counted.cost.flops_executed is not None, counted.reasons
    return counted.cost


def first(m: nn.Module, x: Tensor) -> Tensor:
    return m(x)[0]


@pytest.mark.parametrize("pass_", PASSES)
@pytest.mark.parametrize(("kind", "gates"), [(nn.LSTM, 4), (nn.GRU, 3), (nn.RNN, 1)])
def test_recurrent_layers_apply_each_gate_to_every_token(kind: type[nn.RNNBase], gates: int, pass_: Pass) -> None:
    found = cost(lambda: kind(D, H, batch_first=True), first, pass_)
    # Nothing asks for the gradient of the first state; oneDNN's LSTM computes it all the same.
    spared = 2 * B * H * H * gates if kind is not nn.LSTM else 0
    assert found.flops_executed == (gates * GATE if pass_ == Pass.FORWARD else 3 * gates * GATE - spared)
    assert found.flops_core_executed == 0


def test_layers_and_directions_of_an_lstm_add_up() -> None:
    layer = lambda: nn.LSTM(D, H, num_layers=2, bidirectional=True, batch_first=True)  # noqa: E731
    second = 2 * B * N * H * (2 * H + H)
    assert cost(layer, first, Pass.FORWARD).flops_executed == 2 * 4 * (GATE + second)
    assert cost(layer, first, Pass.TRAIN).flops_executed == 3 * 2 * 4 * (GATE + second)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_an_lstm_that_projects_its_state() -> None:
    P = 4
    found = cost(lambda: nn.LSTM(D, H, proj_size=P, batch_first=True), first, Pass.FORWARD)
    assert found.flops_executed == 2 * B * N * (4 * H * (D + P) + H * P)


CELLS = [(nn.LSTMCell, 4), (nn.GRUCell, 3), (nn.RNNCell, 1)]


@pytest.mark.parametrize(("kind", "gates"), CELLS)
def test_cells_cost_one_token(kind: Callable[..., nn.Module], gates: int) -> None:
    run = lambda m, x: m(x[:, 0])[0] if kind is nn.LSTMCell else m(x[:, 0])  # noqa: E731
    step = 2 * B * H * gates
    assert cost(lambda: kind(D, H), run, Pass.FORWARD).flops_executed == step * (D + H)
    # The state is zeros and asks for no gradient: W, U and x have one each.
    assert cost(lambda: kind(D, H), run, Pass.TRAIN).flops_executed == step * (D + H) * 2 + step * D


def test_formulas_of_vendor_recurrences_read_their_weights() -> None:
    x, weights = t(N, B, D), [t(4 * H, D), t(4 * H, H), t(4 * H), t(4 * H)]
    forward = formula_of(aten._cudnn_rnn.default)
    backward = formula_of(aten._cudnn_rnn_backward.default)
    assert forward is not None
    assert backward is not None
    assert forward(x, weights, 4, None, t(1, B, H), out=None) == 4 * GATE
    for mask, times in (([True] * 4, 2), ([True, True, True, False], 1)):
        assert backward(x, weights, 4, None, t(1, B, H), output_mask=mask, out=None) == times * 4 * GATE


def bags(m: nn.Module, x: Tensor) -> Tensor:
    return m(torch.arange(12).view(3, 4))


def weighted_bags(m: nn.Module, x: Tensor) -> Tensor:
    return m(torch.arange(12).view(3, 4), per_sample_weights=x[:, :4, 0])


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
def test_bags_of_embeddings_add_rows_and_multiply_nothing(mode: str) -> None:
    forward, train = (cost(lambda: nn.EmbeddingBag(20, D, mode=mode), bags, p) for p in PASSES)
    assert forward.flops_executed == train.flops_executed == 0
    assert forward.arith_ops == 12 * D


def test_weighted_bags_are_a_product_and_have_its_two_gradients() -> None:
    forward, train = (
        cost(lambda: nn.EmbeddingBag(20, D, mode="sum"), weighted_bags, p) for p in (Pass.FORWARD, Pass.TRAIN)
    )
    assert forward.flops_executed == 2 * 12 * D
    assert train.flops_executed == 3 * 2 * 12 * D


def test_distances_that_learn_cost_two_products_more() -> None:
    found = cost(nn.Identity, lambda m, x: torch.cdist(x.repeat(1, 3, 1), x.repeat(1, 3, 1)), Pass.TRAIN)
    n = 3 * N
    assert found.flops_executed == 2 * B * n * n * (D + 2) + 2 * 2 * B * n * n * D


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_torchs_counter_ignores_the_groups_of_a_weights_gradient(groups: int) -> None:
    layer = nn.Conv1d(8, 8, 3, padding=1, groups=groups, bias=False)
    x = torch.randn(B, 8, N, requires_grad=True)
    theirs = FlopCounterMode(display=False)
    with theirs:
        layer(x).sum().backward()
    one = 2 * B * N * 8 * (8 // groups) * 3
    assert flops(lambda: layer(x).sum().backward()) == 3 * one
    assert theirs.get_total_flops() == 3 * one + (groups - 1) * one


# 2 heads, d_k = d_v = 4: a pair is 16 FLOPs forward, 2 (3 * 4 + 2 * 4) = 40 backward.
q, k = t(1, 5, 2, 4), t(1, 7, 2, 4)
PACKED = t(5, 2, 4)
ROWS3 = (t(1, 2, 5, 4),) * 3  # heads first


@pytest.mark.parametrize(
    ("operator", "args", "kwargs", "pairs"),
    [
        (aten._flash_attention_forward, (q, k, k, None, None, 5, 7, 0.0, False, False), {}, 35),
        # Aligned bottom right: 3, 4, 5, 6, 7 keys.
        (aten._flash_attention_forward, (q, k, k, None, None, 5, 7, 0.0, True, False), {}, 25),
        # Two before and one after a query's own place: 3, 4, 4, 4 and, at the end, 3 of 5.
        (aten._flash_attention_forward, (q, q, q, None, None, 5, 5, 0.0, False, False),
         {"window_size_left": 2, "window_size_right": 1}, 2 + 3 + 4 + 4 + 3),
        # Sequences of 2 and 3 tokens side by side, causal: 3 + 6.
        (aten._flash_attention_forward, (PACKED,) * 3 + (ends(0, 2, 5),) * 2 + (3, 3, 0.0, True, False), {}, 9),
        (aten._efficient_attention_forward, (q, k, k, None, None, None, 5, 7, 0.0, 0), {}, 35),
        (aten._efficient_attention_forward, (q, k, k, None, None, None, 5, 7, 0.0, 1), {}, 15),
        (aten._efficient_attention_forward, (q, k, k, None, None, None, 5, 7, 0.0, 2), {}, 25),
        (aten._cudnn_attention_forward, (*ROWS3, None, None, None, 5, 5, False, 0.0, True), {}, 15),
        (aten._scaled_dot_product_flash_attention.quantized, (*ROWS3, None, None, None, 0.0, True), {}, 15),
        (aten._scaled_dot_product_attention_math_for_mps, (*ROWS3, None, 0.0, True), {}, 25),
        (aten._triton_scaled_dot_attention, ROWS3, {}, 25),
    ],
)  # fmt: skip
def test_kernels_below_sdpa_count_their_pairs(operator: Any, args: Any, kwargs: Any, pairs: int) -> None:
    overload = operator if isinstance(operator, torch._ops.OpOverload) else operator.default
    formula = formula_of(overload)
    assert formula is not None
    work = formula(*args, out=None, **kwargs)
    assert isinstance(work, OperatorWork)
    assert work.flops == 16 * 2 * pairs


def test_their_backwards_recompute_the_scores() -> None:
    formula = formula_of(aten._flash_attention_backward.default)
    assert formula is not None
    work = formula(q, q, k, k, q, q, ends(), ends(), 5, 7, 0.0, False, q, q, out=None)
    assert isinstance(work, OperatorWork)
    assert work.flops == 40 * 2 * 35


def test_packed_sequences_without_values_have_no_count_and_say_why() -> None:
    formula = formula_of(aten._flash_attention_forward.default)
    assert formula is not None
    at = torch.empty(3, dtype=torch.int32, device="meta")
    work = formula(PACKED, PACKED, PACKED, at, at, 3, 3, 0.0, True, False, out=None)
    assert isinstance(work, Unknowable)
    assert "lengths" in work.reason


def test_an_operator_without_a_formula_says_why() -> None:
    target = ModuleTarget(lambda: Wrapped(nn.Identity(), lambda m, x: torch.matrix_exp(x[:, :8])),
                          lambda: (torch.randn(B, N, D),))  # fmt: skip
    counted = count(target, Shape(N, batch=B, dim=D, heads=1), Pass.FORWARD)
    assert counted.cost.flops_executed is None
    assert "depends on the norm" in counted.reasons["flops_executed"]
