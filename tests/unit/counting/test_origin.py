"""Core FLOPs of layers whose forward runs again inside a backward node, or whose backward is written by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import (
    CheckpointPolicy,
    checkpoint,
    create_selective_checkpoint_contexts,
    set_checkpoint_early_stop,
)

from attnprof.counting import count
from attnprof.layers.reversible import Reversible
from attnprof.plan.by_module import flops_by_module
from attnprof.plan.checkpointed import checkpointed
from attnprof.shapes import Shape
from attnprof.targets import door
from attnprof.words import Pass
from tests.unit.counting.explicit import (
    CORE,
    DERIVED,
    HALF,
    LINEAR,
    REST,
    B,
    Checked,
    D,
    H,
    Layer,
    N,
    counted,
    heads,
    mix,
    reentrant,
)
from tests.unit.counting.modules import ModuleTarget

aten = torch.ops.aten


class Inner(Layer):
    """Only the mixing is run by `again`."""

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.again(mix, *heads(self.qkv(x))).transpose(1, 2).flatten(2))


def stopping(run: Callable[..., Tensor], *x: Tensor) -> Tensor:
    return checkpoint(run, *x, use_reentrant=False)


def to_the_end(run: Callable[..., Tensor], *x: Tensor) -> Tensor:
    with set_checkpoint_early_stop(False):
        return checkpoint(run, *x, use_reentrant=False)


def twice(run: Callable[..., Tensor], *x: Tensor) -> Tensor:
    return reentrant(lambda *y: reentrant(run, *y), *x)


def keeping(*operators: Any) -> Callable[..., Tensor]:
    def policy(_: Any, operator: Any, *__: Any, **___: Any) -> CheckpointPolicy:
        return CheckpointPolicy.MUST_SAVE if operator in operators else CheckpointPolicy.PREFER_RECOMPUTE

    def run(layer: Callable[..., Tensor], *x: Tensor) -> Tensor:
        contexts = lambda: create_selective_checkpoint_contexts(policy)  # noqa: E731
        return checkpoint(layer, *x, use_reentrant=False, context_fn=contexts)

    return run


class _ByGrad(torch.autograd.Function):
    """Recomputes, and asks `torch.autograd.grad` for the parameters' gradients too."""

    @staticmethod
    def forward(ctx: Any, run: Callable[[Tensor], Tensor], x: Tensor, *weights: Tensor) -> Tensor:
        ctx.run, ctx.weights = run, weights
        ctx.save_for_backward(x)
        return run(x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        with torch.enable_grad():
            x = ctx.saved_tensors[0].detach().requires_grad_()
            y = ctx.run(x)
        return None, *torch.autograd.grad(y, [x, *ctx.weights], grads[0])


class _ByBackward(torch.autograd.Function):
    """Recomputes, and lets a nested backward accumulate the parameters' gradients (Megatron, DeepSpeed, Reformer)."""

    @staticmethod
    def forward(ctx: Any, run: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        ctx.run = run
        ctx.save_for_backward(x)
        return run(x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        x = ctx.saved_tensors[0].detach().requires_grad_()
        with torch.enable_grad():
            y = ctx.run(x)
        torch.autograd.backward(y, grads[0])
        return None, x.grad


def by_grad(run: Any, x: Tensor) -> Tensor:
    return _ByGrad.apply(run, x, *run.__self__.parameters())  # type: ignore[return-value]


def by_backward(run: Any, x: Tensor) -> Tensor:
    return _ByBackward.apply(run, x)  # type: ignore[return-value]


RECOMPUTED: dict[str, tuple[Callable[[], nn.Module], int, int]] = {
    "plain": (Layer, 3 * CORE, 3 * REST),
    "reentrant": (lambda: Layer(reentrant), 4 * CORE, 4 * REST),
    "reentrant mixing": (lambda: Inner(reentrant), 4 * CORE, 3 * REST),
    # It stops once every kept tensor is there: the out projection's result is not kept, so it does not run again.
    "early stop": (lambda: Layer(stopping), 4 * CORE, 4 * REST - LINEAR),
    "early stop in the mixing": (lambda: Inner(stopping), 3 * CORE + HALF, 3 * REST),
    "to the end": (lambda: Layer(to_the_end), 4 * CORE, 4 * REST),
    # The outer recomputation runs the inner checkpoint's forward, and the inner one runs it once more.
    "nested": (lambda: Layer(twice), 5 * CORE, 5 * REST),
    "products kept": (lambda: Layer(keeping(aten.mm.default, aten.bmm.default)), 3 * CORE, 3 * REST),
    "projections kept": (lambda: Layer(keeping(aten.mm.default)), 4 * CORE, 3 * REST),
    "scores kept": (lambda: Layer(keeping(aten.bmm.default)), 3 * CORE, 4 * REST - LINEAR),
    "own function, autograd.grad": (lambda: Layer(by_grad), 4 * CORE, 4 * REST),
    "own function, nested backward": (lambda: Layer(by_backward), 4 * CORE, 4 * REST),
    "function in a checkpoint": (lambda: Layer(lambda run, x: reentrant(lambda y: by_backward(run, y), x)),
                                 5 * CORE, 5 * REST),
}  # fmt: skip


@pytest.mark.parametrize("name", RECOMPUTED)
def test_core_is_what_stands_there_in_the_forward_however_often_it_runs(name: str) -> None:
    make, core, rest = RECOMPUTED[name]
    assert counted(make) == (core, core + rest)
    assert counted(make, Pass.FORWARD) == (CORE, CORE + REST)


class Stack(nn.Module):
    """A reversible pair: attention, and a feed-forward of two LINEAR each way."""

    def __init__(self) -> None:
        super().__init__()
        self.pairs = Reversible([(Layer(), nn.Sequential(nn.Linear(D, D, bias=False), nn.GELU())) for _ in range(2)])

    def forward(self, x: Tensor) -> Tensor:
        return self.pairs(x)


def test_reversible_layers_run_again_once_and_their_core_with_them() -> None:
    assert counted(Stack) == (2 * 4 * CORE, 2 * 4 * (CORE + REST + LINEAR))


def test_the_reversible_layers_of_a_public_package_too() -> None:
    reversible = pytest.importorskip("reformer_pytorch.reversible")

    class Public(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            pair = nn.ModuleList([Layer(), nn.Linear(D, D, bias=False)])
            self.blocks = reversible.ReversibleSequence(nn.ModuleList([pair]), layer_dropout=0.0, send_signal=False)

        def forward(self, x: Tensor) -> Tensor:
            return self.blocks(torch.cat([x, x], -1)).chunk(2, -1)[0]

    core, total = counted(Public)
    assert core == 4 * CORE
    assert total == 4 * (CORE + REST + LINEAR)


class _Mixing(torch.autograd.Function):
    """The mixing with a backward by hand that computes the scores again, as flash kernels in plain torch do."""

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        ctx.save_for_backward(q, k, v)
        return (q @ k.transpose(-1, -2)).softmax(-1) @ v

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        q, k, v = ctx.saved_tensors
        p = (q @ k.transpose(-1, -2)).softmax(-1)
        slope = grads[0] @ v.transpose(-1, -2)
        slope = p * (slope - (slope * p).sum(-1, keepdim=True))
        return slope @ k, slope.transpose(-1, -2) @ q, p.transpose(-1, -2) @ grads[0]


class _Linear(torch.autograd.Function):
    """A projection with a backward by hand."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, w: Tensor) -> Tensor:
        ctx.save_for_backward(x, w)
        return x @ w.t()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        x, w = ctx.saved_tensors
        return grads[0] @ w, (grads[0].transpose(1, 2) @ x).sum(0)


class ByHand(Layer):
    """Projections and mixing, each with a backward by hand; the weight may be derived from a parameter first."""

    def __init__(self, derive: Callable[[Tensor], Tensor] = lambda w: w) -> None:
        super().__init__()
        self.derive = derive

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = heads(_Linear.apply(x, self.derive(self.qkv.weight)))
        return _Linear.apply(_Mixing.apply(q, k, v).transpose(1, 2).flatten(2), self.derive(self.out.weight))


class _Whole(torch.autograd.Function):
    """One head of attention and its projections with one backward by hand: both kinds of products in one node."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, w: Tensor) -> Tensor:
        q = x @ w
        ctx.save_for_backward(x, w, q)
        return (q @ q.transpose(1, 2)) @ q

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        x, w, q = ctx.saved_tensors
        scores = q @ q.transpose(1, 2)
        slope = grads[0] @ q.transpose(1, 2)
        of_q = scores.transpose(1, 2) @ grads[0] + slope @ q + slope.transpose(1, 2) @ q
        return of_q @ w.t(), torch.einsum("bni,bnj->ij", x, of_q)


class WholeByHand(nn.Module):
    """A module around it."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.randn(D, D))

    def forward(self, x: Tensor) -> Tensor:
        return _Whole.apply(x, self.w)  # type: ignore[return-value]


@pytest.mark.parametrize("how", DERIVED)
def test_a_weights_gradient_written_by_hand_belongs_to_the_projection(how: str) -> None:
    assert counted(lambda: ByHand(DERIVED[how])) == (3 * CORE + HALF, 3 * CORE + HALF + 3 * REST)


def test_one_backward_by_hand_may_hold_both_kinds() -> None:
    # Forward: the projection and two products; backward: the scores again, four gradients, two of the projection.
    assert counted(WholeByHand) == (7 * HALF, 7 * HALF + 3 * LINEAR)


class Penalty(nn.Module):
    """The slope of a projection as its output, so that training differentiates a backward."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Linear(D, D, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        with torch.enable_grad():
            y = x if x.requires_grad else x.detach().requires_grad_()
            (slope,) = torch.autograd.grad(self.w(y).square().sum(), y, create_graph=True)
        return slope


def test_the_backward_of_a_backward_belongs_where_the_forward_does() -> None:
    # x w, g w^T; of the latter the gradients of g and w, of the former those of x and w: six products of a projection.
    assert counted(Penalty) == (0, 6 * LINEAR)


@pytest.mark.parametrize("again", [reentrant, to_the_end], ids=["reentrant", "to the end"])
def test_flops_by_submodule_stay_where_the_forward_had_them(again: Callable[..., Tensor]) -> None:
    target = ModuleTarget(lambda: Checked(Layer(), again), lambda: (torch.randn(B, N, D),))
    parts = flops_by_module(target, Shape(N, batch=B, dim=D, heads=H), Pass.TRAIN)
    assert parts == {"inner": 4 * CORE, "inner.qkv": 4 * 3 * LINEAR, "inner.out": 4 * LINEAR}


@pytest.mark.parametrize("name", ["dense", "sliding_window", "linear", "performer"])
def test_a_marked_core_is_found_under_every_kind_of_checkpoint(name: str) -> None:
    shape = Shape(64, dim=48, heads=3, level="block")
    target = door.find(name)
    forward = count(target, shape, Pass.FORWARD).cost.flops_core_executed
    plain = count(target, shape, Pass.TRAIN).cost.flops_core_executed
    assert forward is not None
    assert plain is not None
    recomputed = count(checkpointed(target), shape, Pass.TRAIN).cost.flops_core_executed
    older = count(ModuleTarget(lambda: Checked(target.build(shape)), lambda: target.inputs(shape)), shape, Pass.TRAIN)
    assert recomputed == older.cost.flops_core_executed == plain + forward
    if name == "dense":
        assert forward == 4 * 64 * 64 * 48
        assert plain == 3 * forward
