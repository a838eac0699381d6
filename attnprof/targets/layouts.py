"""A module whose axes lie in another order, seen as one that takes and gives `[b, n, D]` or `[b, h, n, d]`.

Only views are added: inputs are made in the module's own order, so that it reads contiguous memory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attnprof.words import Layout

if TYPE_CHECKING:
    from torch import Tensor, nn

SWAPPED = {Layout.NBD: (0, 1), Layout.BNHD: (1, 2)}


def turned(value: Any, layout: Layout) -> Any:
    """A tensor in the module's order as one in ours, or the other way: the first of a tuple or list likewise."""
    from torch import Tensor

    if layout not in SWAPPED:
        return value
    first, second = SWAPPED[layout]
    if isinstance(value, Tensor):
        return value.transpose(first, second) if value.dim() > second else value
    if isinstance(value, (tuple, list)) and value:
        return type(value)([turned(value[0], layout), *value[1:]]) if type(value) in (tuple, list) else value
    return value


def drawn(shape: tuple[int, ...], layout: Layout, dtype: Any) -> Tensor:
    """Random numbers of a shape in our order, lying in memory in the module's."""
    import torch

    if layout not in SWAPPED:
        return torch.randn(shape, dtype=dtype)
    first, second = SWAPPED[layout]
    sizes = list(shape)
    sizes[first], sizes[second] = sizes[second], sizes[first]
    return torch.randn(sizes, dtype=dtype).transpose(first, second)


def seen_in_ours(module: nn.Module, layout: Layout) -> nn.Module:
    """The same module, with hooks that turn what goes in and what comes out."""
    if layout in SWAPPED:
        module.register_forward_pre_hook(lambda _, given: tuple(turned(x, layout) for x in given))
        module.register_forward_hook(lambda _, given, out: turned(out, layout))
    return module
