"""Modules that counters trip over, with FLOPs, saved bytes and core counted by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from attnprof.counting import Counted, count
from attnprof.shapes import Shape
from attnprof.words import Pass
from tests.unit.counting.modules import ModuleTarget

B, N, D = 2, 16, 8
X = B * N * D * 4  # bytes of the input
SQUARE = 2 * B * N * N * D  # FLOPs of x @ x^T
LINEAR = 2 * B * N * D * D  # FLOPs of a bias-free D -> D projection


class Calls(nn.Module):
    """A function as a module, with square weights to use."""

    def __init__(self, function: Callable[..., Tensor], weights: int = 0) -> None:
        super().__init__()
        self.function = function
        self.weights = nn.ParameterList(nn.Parameter(torch.randn(D, D)) for _ in range(weights))

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x, *self.weights)


@dataclass(frozen=True)
class Case:
    """FLOPs of the forward, of the training pass and of the core; bytes kept for backward (None: not stated)."""

    make: Callable[[], nn.Module]
    forward: int
    train: int
    core: int
    saved: int | None = None
    feed: Callable[[], tuple[Tensor, ...]] = lambda: (torch.randn(B, N, D),)


def calls(function: Callable[..., Tensor], weights: int = 0) -> Callable[[], nn.Module]:
    return lambda: Calls(function, weights)


def gram(x: Tensor) -> Tensor:
    return x @ x.transpose(1, 2)


class Squares(torch.autograd.Function):
    """Keeps its input on the context, outside `save_for_backward`."""

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        ctx.kept = x * 2
        return gram(x)

    @staticmethod
    def backward(ctx, grad: Tensor) -> Tensor:
        return (grad + grad.transpose(1, 2)) @ (ctx.kept / 2)


class Tied(nn.Module):
    """Two projections with one weight."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(D, D, bias=False)
        self.second = nn.Linear(D, D, bias=False)
        self.second.weight = self.first.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.first(x))


class Attention(nn.Module):
    """`nn.MultiheadAttention` as self-attention."""

    def __init__(self, weights: bool) -> None:
        super().__init__()
        self.inner = nn.MultiheadAttention(D, 2, batch_first=True, bias=False)
        self.want = weights

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x, x, x, need_weights=self.want)[0]


class _Bilinear(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.form = nn.Bilinear(D, D, 3, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.form(x, x)


def in_place(x: Tensor) -> Tensor:
    y = x * 1.5
    y.add_(1).mul_(2).masked_fill_(y.detach() > 0, 0.0)
    return gram(y)


def shared_views(x: Tensor) -> Tensor:
    left, right = x.view(B, N, 2, D // 2).unbind(2)
    return left @ right.transpose(1, 2)


def gradient_inside(x: Tensor, w: Tensor) -> Tensor:
    return torch.func.grad(lambda y: (y @ w).square().sum())(x)


def autocast(x: Tensor, w: Tensor) -> Tensor:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        return F.linear(x, w).float()


def penalty(x: Tensor, w: Tensor) -> Tensor:
    with torch.enable_grad():
        y = x if x.requires_grad else x.detach().requires_grad_()
        (slope,) = torch.autograd.grad((y @ w).sum(), y, create_graph=True)
    return slope


def detached(x: Tensor) -> Tensor:
    return x @ x.detach().transpose(1, 2)


def scan(x: Tensor, w: Tensor) -> Tensor:
    state = x[:, 0]
    for step in range(1, N):
        state = state @ w + x[:, step]
    return state


def folded(x: Tensor, a: Tensor, b: Tensor) -> Tensor:
    return x @ (a @ b)


def spectrum(x: Tensor) -> Tensor:
    return torch.fft.fft(x.to(torch.complex64), dim=1).real


def long_convolution(x: Tensor) -> Tensor:
    length = 2 * N
    return torch.fft.irfft(torch.fft.rfft(x, n=length, dim=1) * 2, n=length, dim=1)[:, :N]


def complex_product(x: Tensor) -> Tensor:
    z = torch.complex(x, x)
    return (z @ z.transpose(1, 2)).real


def mixed(x: Tensor) -> Tensor:
    return gram(x) @ x


def nested(x: Tensor) -> Tensor:
    return checkpoint(lambda y: gram(checkpoint(gram, y, use_reentrant=False)), x, use_reentrant=False)


FFT = 5 * N * 4 * B * D  # 5 N log2 N for N = 16
REAL = 5 * (2 * N) * 5 * B * D // 2
CUBE = 2 * B * N * N * N
PAIRS = 2 * B * N * 3 * D * D
SUMS = 2 * B * N * 3 * D
CONV = 2 * B * N * D * (D // 4) * 3

CASES = {
    "views sharing a storage": Case(calls(shared_views), SQUARE // 2, 3 * SQUARE // 2, SQUARE // 2, X),
    "in-place writes": Case(calls(in_place), SQUARE, 3 * SQUARE, SQUARE),
    # A checkpoint stops its recomputation at the last tensor that is kept: the last product does not run again.
    "checkpoint recomputes": Case(
        calls(lambda x: checkpoint(mixed, x, use_reentrant=False)), 2 * SQUARE, 7 * SQUARE, 2 * SQUARE, X
    ),
    "reentrant checkpoint recomputes all": Case(
        calls(lambda x: checkpoint(mixed, x, use_reentrant=True, preserve_rng_state=False)),
        2 * SQUARE, 8 * SQUARE, 2 * SQUARE, X,
    ),
    "nested checkpoints": Case(calls(nested), SQUARE + CUBE, 4 * SQUARE + 3 * CUBE, SQUARE + CUBE, X),
    "vmap": Case(calls(torch.vmap(lambda row: row @ row.T)), SQUARE, 3 * SQUARE, SQUARE, X),
    "vmap over a parameter": Case(calls(lambda x, w: torch.vmap(lambda row: row @ w)(x), 1), LINEAR, 3 * LINEAR, 0, X),
    "complex FFT": Case(calls(spectrum), FFT, 2 * FFT, FFT, 0),
    "long convolution by FFT": Case(
        # Two real transforms of 2 N points; backward has a real one and a complex one.
        calls(long_convolution), 2 * REAL, 5 * REAL, 2 * REAL,
    ),
    "complex product": Case(calls(complex_product), 4 * SQUARE, 12 * SQUARE, 4 * SQUARE),
    "grouped convolution": Case(
        lambda: nn.Conv1d(D, D, 3, padding=1, groups=4, bias=False), CONV, 3 * CONV, 0, X,
        lambda: (torch.randn(B, D, N),),
    ),
    "transposed convolution": Case(
        lambda: nn.ConvTranspose1d(D, 4, 5, stride=2, bias=False), 2 * B * N * D * 4 * 5, 6 * B * N * D * 4 * 5, 0, X,
        lambda: (torch.randn(B, D, N),),
    ),
    "einsum of three": Case(
        calls(lambda x: torch.einsum("bnd,bmd,bme->bne", x, x, x)), 2 * SQUARE, 6 * SQUARE, 2 * SQUARE
    ),
    "einsum with parameters": Case(
        calls(lambda x, a, b: torch.einsum("bnd,de,ef->bnf", x, a, b), 2), 2 * LINEAR, 6 * LINEAR, 0
    ),
    "tied weights": Case(Tied, 2 * LINEAR, 6 * LINEAR, 0, 2 * X),
    "gradient inside the forward": Case(calls(gradient_inside, 1), 2 * LINEAR, 6 * LINEAR, 0),
    "gradient penalty": Case(calls(penalty, 1), 2 * LINEAR, 3 * LINEAR, 0),
    "autocast": Case(calls(autocast, 1), LINEAR, 3 * LINEAR, 0, X // 2 + D * D * 2),
    "kept on the context": Case(calls(Squares.apply), SQUARE, 2 * SQUARE, SQUARE, X),
    "no gradient on one side": Case(calls(detached), SQUARE, 2 * SQUARE, SQUARE, X),
    "scan over positions": Case(
        calls(scan, 1), 2 * B * D * D * (N - 1), 6 * B * D * D * (N - 1), 0, X + (N - 2) * B * D * 4
    ),
    "weights folded first": Case(
        calls(folded, 2), LINEAR + 2 * D**3, 3 * (LINEAR + 2 * D**3), 0, X + D * D * 4
    ),
    "fused attention, n is not m": Case(
        calls(lambda x: F.scaled_dot_product_attention(x[:, None], x[:, None, :5], x[:, None, :5], is_causal=True)),
        4 * B * N * 5 * D, 14 * B * N * 5 * D, 4 * B * N * 5 * D,
    ),
    "multi-head attention, fused": Case(
        lambda: Attention(False), 4 * LINEAR + 2 * SQUARE, 12 * LINEAR + 7 * SQUARE, 2 * SQUARE
    ),
    "multi-head attention, explicit": Case(
        lambda: Attention(True), 4 * LINEAR + 2 * SQUARE, 12 * LINEAR + 6 * SQUARE, 2 * SQUARE
    ),
    "encoder layer": Case(
        lambda: nn.TransformerEncoderLayer(D, 2, 32, dropout=0.0, batch_first=True),
        12 * LINEAR + 2 * SQUARE, 36 * LINEAR + 7 * SQUARE, 2 * SQUARE,
    ),
    "bilinear form": Case(
        # x1 W first, then x2; the gradients contract in the kernel's own orders.
        _Bilinear, PAIRS + SUMS, 3 * (PAIRS + SUMS) + PAIRS + 2 * B * N * D * D, 0,
    ),
    "broadcast batch": Case(
        calls(lambda x: x[:, None] @ x[None].transpose(2, 3)), B * SQUARE, 3 * B * SQUARE, B * SQUARE
    ),
    # The gradient of a matrix from a vector is an outer product: elementwise, no multiply-adds.
    "vectors": Case(
        calls(lambda x: x[0] @ x[0, 0] + x[0, 0] @ x[0, 1]), 2 * N * D + 2 * D, 4 * N * D + 2 * D, 2 * N * D + 2 * D
    ),
}  # fmt: skip


def counted(case: Case, pass_: Pass) -> Counted:
    return count(ModuleTarget(case.make, case.feed), Shape(N, batch=B, dim=D, heads=2), pass_)


@pytest.mark.parametrize("name", CASES)
def test_forward_flops_are_those_counted_by_hand(name: str) -> None:
    case = CASES[name]
    result = counted(case, "forward")
    assert result.cost.flops_executed == case.forward, result
    assert result.cost.flops_core_executed == case.core
    assert result.cost.saved_bytes == 0


@pytest.mark.parametrize("name", [name for name in CASES if CASES[name].train])
def test_train_flops_are_those_counted_by_hand(name: str) -> None:
    case = CASES[name]
    result = counted(case, "train")
    assert result.cost.flops_executed == case.train, result.cost.certificate


@pytest.mark.parametrize("name", [name for name in CASES if CASES[name].saved is not None])
def test_saved_bytes_are_those_counted_by_hand(name: str) -> None:
    case = CASES[name]
    assert counted(case, "train").cost.saved_bytes == case.saved
