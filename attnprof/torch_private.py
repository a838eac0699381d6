"""All that attnprof asks of torch beside its public face: private names, and public ones that move between releases.

No other file names them. Each has a canary in `tests/unit/test_torch_private.py`, which says what breaks here when a
release of torch changes it, and is the reason for the bounds on torch in pyproject.toml. Rooms that must load without
torch import this file inside functions.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from types import CellType
from typing import TYPE_CHECKING, Any, NoReturn, TypeGuard, TypeVar

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode, in_kernel_invocation_manager
from torch.autograd.graph import Node
from torch.utils import _python_dispatch as dispatch
from torch.utils import _pytree

if TYPE_CHECKING:
    import sympy
    from torch.fx.experimental.symbolic_shapes import ShapeEnv
    from torch.nn.attention.flex_attention import BlockMask

T = TypeVar("T")

__all__ = ["FakeTensor", "FakeTensorMode"]  # re-exported; all else is defined here


Operator = torch._ops.OperatorBase  # what a dispatch mode is given: an overload, or a higher-order operator
Arguments = tuple[Any, ...]  # what an operator is called with: its schema says of what types
Keywords = dict[str, Any]


# Fake tensors, and the modes that see operators.


class DispatchMode(dispatch.TorchDispatchMode):
    """A mode whose `__torch_dispatch__` runs as plain Python, without torch.compile's guard around every operator."""

    supports_higher_order_operators = True

    def __init__(self) -> None:
        super().__init__()

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False


def without_modes() -> AbstractContextManager[object]:
    """Real tensors, whatever mode is on around it: fake ones are not made, and no counter sees an operator."""
    return dispatch._disable_current_modes()


def is_faking() -> bool:
    """Whether a fake tensor mode is on."""
    return torch._C._get_dispatch_mode(torch._C._TorchDispatchModeKey.FAKE) is not None


def fake_mode(sizes: ShapeEnv | None = None) -> FakeTensorMode:
    """A mode whose tensors nothing else refers to: a remembered one could not be cast with `module.to(dtype)`."""
    mode = FakeTensorMode(allow_non_fake_inputs=True, shape_env=sizes)
    mode.fake_tensor_converter.set_tensor_memo = lambda t, v: None
    return mode


def is_fake(value: object) -> TypeGuard[FakeTensor]:
    """Whether a value is a tensor with a shape, a type and no values."""
    return isinstance(value, FakeTensor)


def fake_device(t: Tensor) -> torch.device | None:
    """The device that a fake tensor pretends to be on; None for a real one."""
    return t.fake_device if isinstance(t, FakeTensor) else None


def is_valueless(t: Tensor, mode: FakeTensorMode, device: torch.device) -> bool:
    """Whether a tensor is a fake one of this mode and device, and has no values (a number made into a tensor has)."""
    return isinstance(t, FakeTensor) and t.fake_mode is mode and t.fake_device == device and t.constant is None


def by_meta_kernel(
    func: Operator, args: Arguments, kwargs: Keywords, mode: FakeTensorMode, device: torch.device
) -> object:
    """An operator on fake tensors by its `meta` kernel alone; results that are no fake tensors yet become ones."""
    with in_kernel_invocation_manager(mode):
        out = func(*args, **kwargs)
    if isinstance(out, Tensor):
        return out if isinstance(out, FakeTensor) else FakeTensor(mode, out, device)
    return type(out)(FakeTensor(mode, t, device) for t in out)


@contextmanager
def quiet_fakes() -> Iterator[None]:
    """Without the stack traces that torch logs for an operator that cannot run on symbols."""
    logger = logging.getLogger("torch._subclasses.fake_tensor")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)


# Tensors, storages and modules.


def storage_key(t: Tensor) -> int:
    """What tells a tensor's storage from every other one that is alive."""
    return t.untyped_storage()._cdata


def key_of(storage: torch.UntypedStorage) -> int:
    """`storage_key` of a storage at hand."""
    return storage._cdata


def use_count(t: Tensor) -> int:
    """How many own a tensor below Python."""
    return t._use_count()  # type: ignore[attr-defined]


def is_held_once(t: Tensor, sole_uses: int) -> bool:
    """Whether a tensor is no view, and nobody owns it or its storage but one, whose use count is `sole_uses`."""
    uses = torch._C._storage_Use_Count(t.untyped_storage()._cdata)  # type: ignore[attr-defined]
    return not t._is_view() and uses <= 2 and use_count(t) <= sole_uses


def sparse_parts(t: Tensor) -> tuple[Tensor, Tensor]:
    """Indices and values of a sparse COO tensor, coalesced or not."""
    return t._indices(), t._values()


def stored(t: Tensor) -> int:
    """Entries that a sparse tensor keeps."""
    return t._nnz()


def made_of(t: object) -> list[object]:
    """What a tensor that wraps others is made of, as a jagged one is; nothing of any other tensor."""
    if not dispatch.is_traceable_wrapper_subclass(t):
        return []
    names, _ = t.__tensor_flatten__()
    return [getattr(t, name) for name in names]


def is_wrapper_type(kind: type) -> bool:
    """Whether tensors of a type are made of others."""
    return dispatch.is_traceable_wrapper_subclass_type(kind)


def leaves(value: object) -> list[object]:
    """What a nested structure holds, in order; structures are those that torch's pytree knows."""
    return _pytree.tree_leaves(value)


def structure(kind: type[T], parts: Callable[[T], Sequence[object]]) -> None:
    """Let torch's pytree look into objects of a class: `parts` are what they hold."""
    _pytree.register_pytree_node(kind, lambda held: (list(parts(held)), held), lambda _, held: held)


def parameters_of(part: nn.Module) -> dict[str, nn.Parameter | None]:
    """A module's own parameters by name, to be replaced in place."""
    return part._parameters


def buffers_of(part: nn.Module) -> dict[str, Tensor | None]:
    """A module's own buffers by name, to be replaced in place."""
    return part._buffers


# Operators.


Overload = torch._ops.OpOverload


def is_overload(operator: object) -> TypeGuard[Overload]:
    """Whether an operator has a schema: not a higher-order one, such as FlexAttention."""
    return isinstance(operator, Overload)


def schema(operator: Overload) -> torch.FunctionSchema:
    """The name, the arguments and the returns of an overload."""
    return operator._schema


def has_kernel(operator: Overload, key: str) -> bool:
    """Whether an overload has a kernel of its own for a dispatch key."""
    return torch._C._dispatch_has_kernel_for_dispatch_key(operator.name(), key)


# Autograd.

current_node: Callable[[], Node | None] = torch._C._current_autograd_node
next_sequence: Callable[[], int] = torch.autograd._get_sequence_nr  # type: ignore[attr-defined]
ENGINE = "_engine_run_backward"  # the Python function that runs every backward
RAW = "_raw_saved_"
_raw: dict[type, tuple[str, ...]] = {}


def sequence_of(node: Node) -> int:
    """The number of a node of the graph: what `next_sequence` gave just before its operator ran."""
    return node._sequence_nr()


def kept_by(node: object) -> Iterator[object]:
    """What a node of the graph keeps for its backward: tensors, and lists of them, packed ones left packed.

    What a custom `autograd.Function` keeps on its context, and the inputs that a checkpoint keeps, are among them.
    """
    for name in _names(node):
        raw = getattr(node, name)
        for saved in raw if isinstance(raw, (tuple, list)) else (raw,):
            yield getattr(saved, "data", saved)
            yield from _of_checkpoint(getattr(saved, "unpack_hook", None))
    if isinstance(node, torch.autograd.function.BackwardCFunction):
        yield from vars(node).values()


def _of_checkpoint(hook: object) -> Iterator[object]:
    """The inputs that a checkpoint keeps, in the frame that its unpacking hook closes over."""
    cells: tuple[CellType, ...] = getattr(hook, "__closure__", None) or ()
    for cell in cells:
        frame = cell.cell_contents
        for saved in getattr(frame, "saved_args", ()):
            yield getattr(saved, "data", saved)
        saver = getattr(getattr(frame, "input_saver", None), "grad_fn", None)
        if saver is not None:
            yield from kept_by(saver)


def _names(node: object) -> tuple[str, ...]:
    kind = type(node)
    if kind not in _raw:
        _raw[kind] = tuple(name for name in dir(node) if name.startswith(RAW))
    return _raw[kind]


# FlexAttention.


def flex_operators() -> tuple[object, object]:
    """FlexAttention's operators as a dispatch mode sees them: forward and backward."""
    from torch._higher_order_ops.flex_attention import flex_attention, flex_attention_backward

    return flex_attention, flex_attention_backward


def is_maskless(rows: int, keys: int) -> bool:
    """Whether the sides of a tile say that FlexAttention was called without a BlockMask."""
    from torch.nn.attention import flex_attention as flex

    return rows == keys == flex._LARGE_SPARSE_BLOCK_SIZE


def tile_masks(mask: Tensor, rows: int, keys: int, *, apart: bool) -> tuple[Tensor, Tensor | None]:
    """Which tiles of a mask `[b, h, n, m]` are alive; those that are full in a second tensor, where they are told."""
    from torch.nn.attention import flex_attention as flex

    return flex._convert_mask_to_block_mask(mask, rows, keys, separate_full_blocks=apart)


@contextmanager
def eager_flex(made: Callable[[BlockMask, Callable[..., Tensor], tuple[int, int]], None]) -> Iterator[None]:
    """FlexAttention's operator called as it is, in a backward on a CPU too, on fake tensors.

    `made` is told of every BlockMask made of fake tensors, with its mask_mod and over how many (batch, heads) it was
    asked. Whatever a module compiles with `torch.compile` runs as it is written.
    """
    from torch.nn.attention import flex_attention as flex

    tiles_of, device_of = flex._create_sparse_block_from_block_mask, flex._validate_device
    eager = flex._FLEX_ATTENTION_DISABLE_COMPILE_DEBUG

    def told(tiles: Any, mask_mod: Callable[..., Any], *sizes: Any, **named: Any) -> BlockMask:
        mask = tiles_of(tiles, mask_mod, *sizes, **named)
        if isinstance(mask.kv_num_blocks, FakeTensor):
            made(mask, mask_mod, (tiles[0].shape[0], tiles[0].shape[1]))
        return mask

    def on_any_device(query: Tensor, *others: Tensor) -> None:
        if not isinstance(query, FakeTensor):
            device_of(query, *others)

    flex._create_sparse_block_from_block_mask, flex._validate_device = told, on_any_device
    flex._FLEX_ATTENTION_DISABLE_COMPILE_DEBUG = True
    try:
        with torch.compiler.set_stance("force_eager"):
            yield
    finally:
        flex._create_sparse_block_from_block_mask, flex._validate_device = tiles_of, device_of
        flex._FLEX_ATTENTION_DISABLE_COMPILE_DEBUG = eager


def allow_kernels(number: int) -> None:
    """Let one function be compiled for so many shapes, where torch allows fewer."""
    from torch._dynamo import config

    config.recompile_limit = max(config.recompile_limit, number)


def compile_error() -> type[Exception]:
    """What a function raises that is to be compiled whole and cannot be."""
    from torch._dynamo.exc import TorchDynamoException

    return TorchDynamoException


# Symbolic sizes.


def symbolic_size(name: str, near: int) -> tuple[ShapeEnv, torch.SymInt]:
    """A size that is a symbol, of the value `near` wherever code has to know one; and where its relations are kept."""
    from torch._dynamo.source import ConstantSource
    from torch.fx.experimental.symbolic_shapes import DimDynamic, ShapeEnv

    env, source = ShapeEnv(), ConstantSource(name)
    symbol = env.create_symbol(near, source=source, dynamic_dim=DimDynamic.DYNAMIC, constraint_dim=None)
    size: Any = env.create_symintnode(symbol, hint=near, source=source)
    return env, size


def is_pinned(env: ShapeEnv) -> bool:
    """Whether a symbol of these sizes became a number, because code asked for one."""
    return bool(env.replacements)


def expression(size: torch.SymInt | int) -> sympy.Expr:
    """A size as sympy has it."""
    import sympy

    return size.node.expr if isinstance(size, (torch.SymInt, torch.SymFloat)) else sympy.Integer(size)


@contextmanager
def without_arrays(error: Callable[[], Exception]) -> Iterator[None]:
    """Raise this as soon as NumPy meets a symbolic size: it would compute with it element by element."""

    def refuse(self: object, *_: object, **__: object) -> NoReturn:
        raise error()

    symbol: Any = torch.SymInt
    symbol.__array__ = refuse
    try:
        yield
    finally:
        del symbol.__array__
