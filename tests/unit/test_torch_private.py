"""Canaries: what attnprof relies on in torch's private parts, one test a name, each saying what breaks without it."""

from __future__ import annotations

import ast
import sys
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.attention import flex_attention as flex
from torch.utils.checkpoint import checkpoint

from attnprof import torch_private

CPU = torch.device("cpu")
aten = torch.ops.aten


# Fake tensors, and the modes that see operators.


class Seen(torch_private.DispatchMode):
    """Notes every operator, and the use count of every first argument."""

    def __init__(self) -> None:
        super().__init__()
        self.operators: list[Any] = []
        self.uses: list[int] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.operators.append(func)
        if torch_private.current_node() is not None and func is aten.add.Tensor:
            self.uses.append(torch_private.use_count(args[0]))
        return func(*args, **(kwargs or {}))


def test_dispatch_mode() -> None:
    with Seen() as seen:
        torch.ones(3).add(1)
    assert aten.add.Tensor in seen.operators, "nothing is counted: a dispatch mode does not see operators any more"
    assert not hasattr(Seen.__torch_dispatch__, "_torchdynamo_disable"), "every count takes longer: see DispatchMode"
    assert Seen.supports_higher_order_operators, "FlexAttention cannot be counted"


def test_without_modes() -> None:
    with torch_private.fake_mode(), torch_private.without_modes():
        assert type(torch.zeros(2)) is Tensor, "patterns are evaluated on tensors without values: counts are wrong"


def test_is_faking() -> None:
    with torch_private.fake_mode():
        assert torch_private.is_faking(), "modules that read values in their constructor cannot be made"
    assert not torch_private.is_faking(), "modules are made twice"


def test_fake_mode() -> None:
    with torch_private.fake_mode() as mode:
        layer, made = nn.Linear(4, 4), torch.zeros(4) + 1
    assert torch_private.is_fake(mode.from_tensor(torch.zeros(4))), "what a module makes of NumPy tables stays real"
    assert weakref.getweakrefcount(made) == 0, "a mode remembers tensors, which then cannot be swapped by `.to`"
    assert layer.to(torch.bfloat16).weight.dtype is torch.bfloat16, "a module in another precision cannot be counted"


def test_is_fake() -> None:
    with torch_private.fake_mode():
        assert torch_private.is_fake(torch.zeros(2)), "tables are allocated while they are only counted"
    assert not torch_private.is_fake(torch.zeros(2)), "real tensors are taken for fake ones"


def test_fake_device() -> None:
    with torch_private.fake_mode():
        assert torch_private.fake_device(torch.zeros(2)) == CPU, "each look at `.device` is dispatched: slow"
    assert torch_private.fake_device(torch.zeros(2)) is None


def test_is_valueless() -> None:
    with torch_private.fake_mode() as mode:
        assert torch_private.is_valueless(torch.zeros(2), mode, CPU), "the short way is never taken: counts are slow"
        assert not torch_private.is_valueless(torch.tensor(2.0), mode, CPU), "numbers lose their values"
    assert not torch_private.is_valueless(torch.zeros(2), mode, CPU), "real tensors are given to meta kernels"


def test_by_meta_kernel() -> None:
    with torch_private.fake_mode() as mode:
        a = torch.zeros(2, 3)
        short = torch_private.by_meta_kernel(aten.mm.default, (a, a.t()), {}, mode, CPU)
        parts = torch_private.by_meta_kernel(aten.split.Tensor, (a, 1), {}, mode, CPU)
        general = a @ a.t()
    assert torch_private.is_valueless(short, mode, CPU), "results on the short way are no fake tensors"
    assert (short.shape, short.stride()) == (general.shape, general.stride()), "the short way gives other shapes"
    assert [tuple(t.shape) for t in parts] == [(1, 3), (1, 3)], "lists of results are lost on the short way"


def test_quiet_fakes(caplog: pytest.LogCaptureFixture) -> None:
    from torch._subclasses import fake_tensor

    assert fake_tensor.log.name == "torch._subclasses.fake_tensor", "closed forms print stack traces of torch"
    with torch_private.quiet_fakes():
        fake_tensor.log.error("loud")
    assert not caplog.records


# Tensors, storages and modules.


def test_storage_key() -> None:
    x, y = torch.zeros(4), torch.zeros(4)
    told = "saved and peak bytes are wrong: a storage has another key each time, or shares one"
    assert torch_private.storage_key(x) == torch_private.storage_key(x[1:]) != torch_private.storage_key(y), told
    assert torch_private.key_of(x.untyped_storage()) == torch_private.storage_key(x), told


def test_use_count() -> None:
    x = torch.zeros(2, device="meta", requires_grad=True)
    grad = torch.zeros(2, device="meta")
    with Seen() as sole:
        (x.exp() + x.sin()).backward(grad)
    x.grad = None
    first = x.exp()
    first.retain_grad()  # another owner of one of the gradients
    with Seen() as shared:
        (first + first.sin()).backward(grad)
    assert len(sole.uses) == len(shared.uses) == 1, "the engine adds gradients elsewhere: peaks of training are wrong"
    assert sole.uses[0] > 0, "use counts are gone: peaks of training are wrong"


def test_is_held_once() -> None:
    x = torch.zeros(2, 2)
    uses = torch_private.use_count(x)
    told = "the engine is said to add gradients in place where it does not, or the other way: peaks are wrong"
    assert torch_private.is_held_once(x, uses), told
    assert not torch_private.is_held_once(x, uses - 1), told
    assert not torch_private.is_held_once(x[0], 9), told
    alias = x.detach()
    assert not torch_private.is_held_once(x, uses), told
    del alias


def test_sparse_parts_and_stored() -> None:
    t = torch.eye(3).to_sparse()
    assert [tuple(p.shape) for p in torch_private.sparse_parts(t)] == [(2, 3), (3,)], "sparse storages are not followed"
    assert torch_private.stored(t) == 3, "products with sparse tensors are not counted by their entries"


def test_made_of_and_is_wrapper_type() -> None:
    jagged = torch.nested.nested_tensor([torch.ones(2, 3)], layout=torch.jagged)
    told = "jagged tensors are not followed to what they are made of"
    assert [tuple(t.shape) for t in torch_private.made_of(jagged)][:2] == [(2, 3), (2,)], told
    assert torch_private.is_wrapper_type(type(jagged)), told
    assert torch_private.made_of(torch.ones(2)) == []
    assert not torch_private.is_wrapper_type(Tensor)


def test_leaves() -> None:
    assert torch_private.leaves({"a": [1, (2,)], "b": 3}) == [1, 2, 3], "a module's outputs are not found"


def test_structure() -> None:
    class Held:
        parts = (1, 2)

    torch_private.structure(Held, lambda held: list(held.parts))
    assert torch_private.leaves([0, Held()]) == [0, 1, 2], "a cache's tensors are not found"


def test_parameters_of_and_buffers_of() -> None:
    part = nn.BatchNorm1d(2)
    torch_private.parameters_of(part)["bias"] = nn.Parameter(torch.full((2,), 7.0))
    torch_private.buffers_of(part)["running_mean"] = torch.full((2,), 5.0)
    told = "a module's tensors cannot be replaced by fake ones"
    assert part.bias[0] == 7, told
    assert part.running_mean[0] == 5, told


# Operators.


def test_is_overload() -> None:
    assert torch_private.is_overload(aten.mm.default), "no operator has a formula"
    assert not torch_private.is_overload(torch_private.flex_operators()[0]), "FlexAttention has no formula"


def test_schema() -> None:
    told = "operators' variants are not known as such: totals are refused"
    found = torch_private.schema(aten.addmm_.default)
    assert found.name == "aten::addmm_", told
    first = found.arguments[0]
    assert first.name == "self", told
    assert first.alias_info is not None, told
    assert first.alias_info.is_write, told
    assert found.arguments[-1].kwarg_only, told
    assert found.arguments[-1].default_value == 1, told
    assert str(found.returns[0].type) == "Tensor", told


def test_has_kernel() -> None:
    told = "composite operators are counted as one, or others are taken apart"
    assert torch_private.has_kernel(aten.matmul.default, "CompositeImplicitAutograd"), told
    assert not torch_private.has_kernel(aten.matmul.default, "CPU"), told
    assert torch_private.has_kernel(aten.mm.default, "CPU"), told


# Autograd.


def test_sequences_of_nodes() -> None:
    told = "the backward of the core is not told from the rest"
    x = torch.zeros(2, requires_grad=True)
    before = torch_private.next_sequence()
    y = x.exp()
    assert torch_private.sequence_of(y.grad_fn) == before, told
    assert torch_private.next_sequence() == before + 1, told


def test_current_node() -> None:
    nodes = []

    class Nodes(torch_private.DispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            nodes.append(torch_private.current_node())
            return func(*args, **(kwargs or {}))

    x = torch.ones(2, requires_grad=True)
    with Nodes():
        y = x.exp()
        assert set(nodes) == {None}, "forwards are taken for backwards: core FLOPs are wrong"
        nodes.clear()
        y.backward(torch.ones(2))
    assert y.grad_fn in nodes, "products of a backward cannot be given to their forward: core FLOPs are wrong"


def test_engine() -> None:
    frames = []

    class Frames(torch_private.DispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            above: Any = sys._getframe(1)
            frames.append(above.f_code.co_name)
            return func(*args, **(kwargs or {}))

    x = torch.ones(2, requires_grad=True)
    y = x.exp()
    with Frames():
        torch.autograd.backward(y, torch.ones(2))
    assert torch_private.ENGINE in frames, "a forward inside of a backward is not told from it"


def test_kept_by() -> None:
    x = torch.ones(2, requires_grad=True)
    y = x.exp()
    kept = [t for value in torch_private.kept_by(y.grad_fn) for t in [value] if isinstance(t, Tensor)]
    assert torch_private.storage_key(y) in map(torch_private.storage_key, kept), "saved bytes are too small"


def test_kept_by_a_custom_function() -> None:
    class Twice(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            ctx.held = torch.ones(5)
            return 2 * x

        @staticmethod
        def backward(ctx: Any, grad: Any) -> Any:
            return 2 * grad

    y = Twice.apply(torch.ones(2, requires_grad=True))
    sizes = [t.numel() for t in torch_private.kept_by(y.grad_fn) if isinstance(t, Tensor)]
    assert 5 in sizes, "what a custom autograd.Function keeps on its context is not among the saved bytes"


@pytest.mark.parametrize("reentrant", [False, True])
def test_kept_by_a_checkpoint(reentrant: bool) -> None:
    x = torch.ones(7, requires_grad=True)
    y = checkpoint(torch.exp, x * 2, use_reentrant=reentrant)
    from attnprof.counting.saved import kept_by_graph

    assert 7 * 4 in kept_by_graph([y]).values(), "the inputs that a checkpoint keeps are not among the saved bytes"


# FlexAttention.


def causal(b: Any, h: Any, q_idx: Any, kv_idx: Any) -> Any:
    return q_idx >= kv_idx


def test_flex_operators() -> None:
    forward, backward = torch_private.flex_operators()
    q = torch.zeros(1, 1, 128, 16, requires_grad=True)
    with torch_private.fake_mode() as mode, torch_private.eager_flex(lambda *_: None), Seen() as seen:
        fake = mode.from_tensor(q)
        flex.flex_attention(fake, fake, fake).sum().backward()
    assert forward in seen.operators, "FlexAttention is not counted"
    assert backward in seen.operators, "the backward of FlexAttention is not counted"


def test_is_maskless() -> None:
    sides = flex._create_empty_block_mask(torch.zeros(1, 1, 128, 16), torch.zeros(1, 1, 128, 16)).BLOCK_SIZE
    assert torch_private.is_maskless(*sides), "FlexAttention without a BlockMask is counted by tiles that there are not"
    assert not torch_private.is_maskless(128, 128)


def test_tile_masks() -> None:
    mask = flex.create_mask(causal, 1, 1, 256, 256, "cpu")
    told = "live tiles of a BlockMask cannot be counted"
    some, full = torch_private.tile_masks(mask, 128, 128, apart=True)
    assert int(some.sum()) == 2, told
    assert full is not None, told
    assert int(full.sum()) == 1, told
    assert torch_private.tile_masks(mask, 128, 128, apart=False)[1] is None, told


def test_eager_flex() -> None:
    told: list[tuple[flex.BlockMask, Callable[..., Any], tuple[int, int]]] = []
    before = flex._create_sparse_block_from_block_mask, flex._validate_device
    with torch_private.eager_flex(lambda *made: told.append(made)), torch_private.fake_mode():
        mask = flex.create_block_mask(causal, 2, 3, 256, 256, device="cpu")
    assert [(mask_mod, heads) for _, mask_mod, heads in told] == [(causal, (2, 3))], "BlockMasks have no live tiles"
    assert told[0][0].kv_num_blocks is mask.kv_num_blocks, "live tiles are noted of another mask"
    assert (flex._create_sparse_block_from_block_mask, flex._validate_device) == before
    assert flex._FLEX_ATTENTION_DISABLE_COMPILE_DEBUG is False, "FlexAttention stays uncompiled after a count"


def test_allow_kernels() -> None:
    from torch._dynamo import config

    with config.patch(recompile_limit=8):
        torch_private.allow_kernels(99)
        assert config.recompile_limit == 99, "from the ninth length on FlexAttention keeps n * n scores"
        torch_private.allow_kernels(9)
        assert config.recompile_limit == 99


# Symbolic sizes.


def test_compile_error() -> None:
    """`--impl compile` tells what inductor cannot compile by it."""

    def breaks(x: Tensor) -> Tensor:
        torch._dynamo.graph_break()
        return x

    with pytest.raises(torch_private.compile_error()):
        torch.compile(breaks, backend="eager", fullgraph=True)(torch.zeros(2))


def test_symbolic_size_and_expression() -> None:
    env, size = torch_private.symbolic_size("m", 8)
    length: Any = size * 512
    with torch_private.fake_mode(env):
        x = torch.zeros(length, 4)
    told = "no closed form is traced: all are interpolated"
    assert torch_private.is_fake(x), told
    (symbol,) = torch_private.expression(x.shape[0]).free_symbols
    assert torch_private.expression(x.numel()) == 2048 * symbol, told
    assert torch_private.expression(7) == 7, told


def test_is_pinned() -> None:
    env, size = torch_private.symbolic_size("m", 8)
    assert not torch_private.is_pinned(env)
    assert int(size) == 8
    assert torch_private.is_pinned(env), "a form that holds at one length is printed as one in n"


def test_without_arrays() -> None:
    _, size = torch_private.symbolic_size("m", 8)
    told = "closed forms take minutes where a module makes NumPy tables"
    with torch_private.without_arrays(lambda: ArithmeticError(told)), pytest.raises(ArithmeticError):
        np.asarray(size)
    assert not hasattr(torch.SymInt, "__array__")


def test_every_name_has_its_canary() -> None:
    tree, canaries = ast.parse(Path(torch_private.__file__).read_text()), Path(__file__).read_text()
    names = [n.name for n in tree.body if isinstance(n, (ast.FunctionDef, ast.ClassDef)) and not n.name.startswith("_")]
    assert [name for name in names if f"torch_private.{name}" not in canaries] == []
