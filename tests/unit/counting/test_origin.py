"""Core FLOPs of layers whose forward runs again inside a backward node, and of weights that are no plain leaves.

The layer is explicit attention without biases: b = 2, n = 24, D = 18, h = 3. By hand, a multiply-add being 2:
q k^T and p v are `HALF` = 2 b n n D each, so the core's forward is `CORE` = 2 HALF; qkv and out are 3 and 1 `LINEAR`
= 2 b n D D, so the projections are `REST` = 4 LINEAR. Each product has two gradients of its own size.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrizations
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
from tests.unit.counting.modules import ModuleTarget

B, N, D, H = 2, 24, 18, 3
HALF = 2 * B * N * N * D
CORE = 2 * HALF
LINEAR = 2 * B * N * D * D
REST = 4 * LINEAR
aten = torch.ops.aten


def mix(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return (q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5).softmax(-1) @ v


def heads(x: Tensor) -> Tensor:
    return x.unflatten(-1, (-1, H, D // H)).permute(2, 0, 3, 1, 4)


class Layer(nn.Module):
    """Explicit attention; `again` is how its forward is run, so that it can be run again."""

    def __init__(self, again: Callable[..., Tensor] | None = None) -> None:
        super().__init__()
        self.qkv, self.out = nn.Linear(D, 3 * D, bias=False), nn.Linear(D, D, bias=False)
        self.again = again or (lambda layer, x: layer(x))

    def whole(self, x: Tensor) -> Tensor:
        return self.out(mix(*heads(self.qkv(x))).transpose(1, 2).flatten(2))

    def forward(self, x: Tensor) -> Tensor:
        return self.again(self.whole, x)


class Inner(Layer):
    """Only the mixing is run by `again`."""

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.again(mix, *heads(self.qkv(x))).transpose(1, 2).flatten(2))


def counted(make: Callable[[], nn.Module], pass_: Pass = Pass.TRAIN) -> tuple[int | None, int | None]:
    cost = count(ModuleTarget(make, lambda: (torch.randn(B, N, D),)), Shape(N, batch=B, dim=D, heads=H), pass_).cost
    return cost.flops_core_executed, cost.flops_executed


def reentrant(run: Callable[..., Tensor], *x: Tensor) -> Tensor:
    return checkpoint(run, *x, use_reentrant=True)


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


DERIVED: dict[str, Callable[[Tensor], Tensor]] = {
    "as it is": lambda w: w,
    "masked": lambda w: w * torch.ones_like(w).tril(),
    "normalised": lambda w: w / w.norm(dim=-1, keepdim=True),
    "cast": lambda w: w.double().float(),
    "transposed copy": lambda w: w.t().contiguous().t(),
    "put together": lambda w: torch.cat([row[None] for row in w.unbind(0)]),
}


@pytest.mark.parametrize("how", DERIVED)
def test_a_weights_gradient_written_by_hand_belongs_to_the_projection(how: str) -> None:
    assert counted(lambda: ByHand(DERIVED[how])) == (3 * CORE + HALF, 3 * CORE + HALF + 3 * REST)


def test_one_backward_by_hand_may_hold_both_kinds() -> None:
    # Forward: the projection and two products; backward: the scores again, four gradients, two of the projection.
    assert counted(WholeByHand) == (7 * HALF, 7 * HALF + 3 * LINEAR)


class Weighted(nn.Module):
    """A projection and a mixing whose weight comes from `derive(parameter, module)`."""

    def __init__(self, derive: Callable[..., Tensor]) -> None:
        super().__init__()
        self.derive = derive
        self.w = nn.Parameter(torch.randn(D, D))
        self.register_buffer("kept", torch.ones(D, D).tril())
        self.table = torch.arange(D)

    def forward(self, x: Tensor) -> Tensor:
        y = F.linear(x, self.derive(self.w, self))
        return y @ y.transpose(1, 2) @ y


WEIGHTS: dict[str, Callable[..., Tensor]] = {
    **{name: lambda w, m, f=f: f(w) for name, f in DERIVED.items()},
    "masked by a buffer": lambda w, m: w * m.kept,
    "rows picked": lambda w, m: w[m.table],
    "doubled": lambda w, m: w + w.t(),
    "constant beside": lambda w, m: torch.cat([w[:, :-1], torch.ones(D, 1)], 1),
    "dropped": lambda w, m: F.dropout(w, 0.5, True),
}


@pytest.mark.parametrize("how", WEIGHTS)
def test_what_parameters_and_constants_make_is_a_weight(how: str) -> None:
    assert counted(lambda: Weighted(WEIGHTS[how])) == (3 * CORE, 3 * CORE + 3 * LINEAR)
    assert counted(lambda: Checked(Weighted(WEIGHTS[how]))) == (4 * CORE, 4 * CORE + 4 * LINEAR)


class Checked(nn.Module):
    """Another module under a checkpoint."""

    def __init__(self, inner: nn.Module, again: Callable[..., Tensor] = reentrant) -> None:
        super().__init__()
        self.inner, self.again = inner, again

    def forward(self, *x: Tensor) -> Tensor:
        return self.again(self.inner, *x)


def test_parametrized_weights_are_weights() -> None:
    def make(wrap: Callable[..., nn.Module]) -> Callable[[], nn.Module]:
        def layer() -> nn.Module:
            module = Layer()
            module.qkv = wrap(module.qkv)  # type: ignore[assignment]
            return module

        return layer

    assert counted(make(parametrizations.weight_norm)) == (3 * CORE, 3 * (CORE + REST))
    core, total = counted(make(parametrizations.spectral_norm))  # estimates the norm by products of the weight
    assert core == 3 * CORE
    assert total is not None
    assert total > 3 * (CORE + REST)


class Twice(nn.Module):
    """One weight that projects twice, and an input that is projected twice."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Linear(D, D, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y = self.w(self.w(x))
        return y @ self.w(x).transpose(1, 2) @ y


def test_a_weight_that_is_used_twice_is_still_one() -> None:
    assert counted(Twice) == (3 * CORE, 3 * CORE + 9 * LINEAR)
    assert counted(lambda: Checked(Twice())) == (4 * CORE, 4 * CORE + 12 * LINEAR)


class Inside(nn.Module):
    """The gradients of a layer's parameters, taken inside its forward by `torch.func.grad`."""

    def __init__(self, change: Callable[[Tensor], Tensor] = lambda w: w) -> None:
        super().__init__()
        self.layer, self.change = Layer(), change

    def forward(self, x: Tensor) -> Tensor:
        weights = {name: self.change(w) for name, w in self.layer.named_parameters()}

        def loss(weights: dict[str, Tensor]) -> Tensor:
            return torch.func.functional_call(self.layer, weights, (x,)).square().sum()

        return torch.func.grad(loss)(weights)["qkv.weight"]


@pytest.mark.parametrize(
    "change", [lambda w: w, lambda w: w * 0.9, lambda w: w.clone()], ids=["leaf", "scaled", "copy"]
)
def test_gradients_of_functional_weights_are_the_projections(change: Callable[[Tensor], Tensor]) -> None:
    # The input asks for no gradient, so the first projection has one gradient, its weight's.
    assert counted(lambda: Inside(change), Pass.FORWARD) == (3 * CORE, 3 * CORE + 3 * REST - 3 * LINEAR)


def test_transforms_do_not_hide_a_parameter() -> None:
    mapped = lambda run, x: torch.vmap(lambda row: run(row[None])[0])(x)  # noqa: E731
    assert counted(lambda: Layer(mapped)) == (3 * CORE, 3 * (CORE + REST))


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


class Biased(nn.Module):
    """Scores with a learned bias, added in the product or given to the fused kernel as a mask."""

    def __init__(self, fused: bool) -> None:
        super().__init__()
        self.fused, self.table = fused, nn.Parameter(torch.randn(2 * N))
        self.register_buffer("places", torch.arange(N)[:, None] - torch.arange(N) + N)

    def forward(self, x: Tensor) -> Tensor:
        bias = self.table[self.places]
        if self.fused:
            return F.scaled_dot_product_attention(x[:, None], x[:, None], x[:, None], attn_mask=bias)
        return torch.baddbmm(bias.expand(B, N, N), x, x.transpose(1, 2)).softmax(-1) @ x


def test_a_bias_is_no_factor() -> None:
    assert counted(lambda: Biased(False)) == (3 * CORE, 3 * CORE)
    assert counted(lambda: Biased(True), Pass.FORWARD) == (CORE, CORE)


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
