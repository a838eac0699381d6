"""Formulas of the kernels below SDPA, which packages call themselves: windows, and sequences packed side by side.

Where sequences are packed, the work is a function of their lengths, which are values: it is known on real tensors, and
not on fake ones.
"""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import TypeGuard

import torch
from torch import Tensor

from attnprof.counting import tiles
from attnprof.counting.formulas_attention import backward_of, forward_of
from attnprof.counting.registry import OperatorWork, Unknowable, register_by_name
from attnprof.torch_private import is_fake

aten = torch.ops.aten
LENGTHS = Unknowable("the lengths of its packed sequences are values, which a count without values does not see")
NO_WINDOW = -1
NO_MASK, TOP_LEFT = 0, 1


def packed(ends: object) -> TypeGuard[Tensor]:
    """Whether sequences are packed side by side: where they end is given."""
    return isinstance(ends, Tensor) and ends.numel() > 0


def lengths(ends: Tensor) -> list[int] | None:
    """The lengths of packed sequences, or None where they have no values."""
    if is_fake(ends) or ends.is_meta:
        return None
    return ends.diff().tolist()


def attended(
    given: SimpleNamespace,
    work: Callable[[int, Tensor, Tensor, tiles.KernelTiles, str], OperatorWork],
    kernel: str,
    ends: tuple[Tensor | None, Tensor | None],
    window: tuple[int | None, int | None],
    bottom_right: bool,
    token: int,
) -> OperatorWork | Unknowable:
    """The work of every sequence; `token` is the dimension of tokens in a batch that is not packed."""
    q, k, v = given.query, given.key, given.value
    first, second = ends
    if not (packed(first) and isinstance(second, Tensor)):
        seen = tiles.band(q.shape[token], k.shape[token], *window, bottom_right=bottom_right)
        return work(q.shape[0] * q.shape[-2 if token == 1 else 1], q, v, seen, kernel)
    queries, keys = lengths(first), lengths(second)
    if queries is None or keys is None:
        return LENGTHS
    parts = [tiles.band(n, m, *window, bottom_right=bottom_right) for n, m in zip(queries, keys, strict=True)]
    seen = tiles.KernelTiles(sum(part.pairs for part in parts), "unknown: exact bands of packed sequences")
    return work(q.shape[-2], q, v, seen, kernel)


def flash_window(given: SimpleNamespace) -> tuple[int | None, int | None]:
    """How far a query of FlashAttention looks back and ahead, None for without end."""
    behind, ahead = (None if w in (None, NO_WINDOW) else w for w in (given.window_size_left, given.window_size_right))
    return behind, 0 if given.is_causal else ahead


@register_by_name(aten._flash_attention_forward, aten._flash_attention_forward_no_dropout_inplace)
def flash(given: SimpleNamespace, out: object) -> OperatorWork | Unknowable:
    """FlashAttention on `[b, n, h, d]`, or on packed `[tokens, h, d]`."""
    ends = given.cum_seq_q, given.cum_seq_k
    return attended(given, forward_of, "flash", ends, flash_window(given), True, 1)


@register_by_name(aten._flash_attention_backward)
def flash_backward(given: SimpleNamespace, out: object) -> OperatorWork | Unknowable:
    """Its backward."""
    ends = (None, None) if given.query.dim() == 4 else (given.cum_seq_q, given.cum_seq_k)
    return attended(given, backward_of, "flash", ends, flash_window(given), True, 1)


def efficient_window(given: SimpleNamespace) -> tuple[int | None, int | None]:
    """The same of the memory-efficient kernel; its window ends at the query."""
    behind = given.window_size - 1 if given.window_size else None
    return behind, None if given.custom_mask_type == NO_MASK else 0


@register_by_name(aten._efficient_attention_forward)
def efficient(given: SimpleNamespace, out: object) -> OperatorWork | Unknowable:
    """The memory-efficient kernel on `[b, n, h, d]`, or on sequences packed into a batch of one."""
    ends = given.cu_seqlens_q, given.cu_seqlens_k
    right = given.custom_mask_type > TOP_LEFT
    return attended(given, forward_of, "efficient", ends, efficient_window(given), right, 1)


@register_by_name(aten._efficient_attention_backward)
def efficient_backward(given: SimpleNamespace, out: object) -> OperatorWork | Unknowable:
    """Its backward."""
    ends = given.cu_seqlens_q, given.cu_seqlens_k
    right = given.custom_mask_type > TOP_LEFT
    return attended(given, backward_of, "efficient", ends, efficient_window(given), right, 1)


@register_by_name(aten._cudnn_attention_forward)
def cudnn(given: SimpleNamespace, out: object) -> OperatorWork | Unknowable:
    """cuDNN's kernel on `[b, h, n, d]`, or on packed sequences."""
    ends = given.cum_seq_q, given.cum_seq_k
    return attended(given, forward_of, "cudnn", ends, (None, 0 if given.is_causal else None), False, -2)


@register_by_name(aten._cudnn_attention_backward)
def cudnn_backward(given: SimpleNamespace, out: object) -> OperatorWork | Unknowable:
    """Its backward."""
    ends = (None, None) if given.query.dim() == 4 else (given.cum_seq_q, given.cum_seq_k)
    return attended(given, backward_of, "cudnn", ends, (None, 0 if given.is_causal else None), False, -2)
