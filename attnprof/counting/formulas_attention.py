"""Formulas of fused attention: what each kernel computes, forward and (with recomputation) backward.

Forward: scores and weighted sum, 2 (d_k + d_v) a pair. Backward: scores again, then four products, so
2 (3 d_k + 2 d_v) a pair; where d_k = d_v this is 2.5 forwards.
"""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from attnprof.counting import tiles
from attnprof.counting.registry import OperatorWork, register, register_by_name
from attnprof.errors import Unsupported
from attnprof.layers.block_masks import noted_live
from attnprof.pattern.apart import real_numbers
from attnprof.torch_private import flex_operators, is_fake, is_maskless

FLEX, FLEX_BACKWARD = flex_operators()
aten = torch.ops.aten
FlatMask = tuple[Any, ...]  # a BlockMask as the operator takes it: see `live_tiles`


def forward_work(q: Tensor, v: Tensor, seen: tiles.KernelTiles, backend: str) -> OperatorWork:
    """One forward over `[b, h, n, d_k]` queries: an exponential a pair, and scale, maximum, difference and sum."""
    return forward_of(q.shape[0] * q.shape[1], q, v, seen, backend)


def forward_of(heads: int, q: Tensor, v: Tensor, seen: tiles.KernelTiles, backend: str) -> OperatorWork:
    """One forward of so many heads, those of every batch entry counted; of q and v only the widths are read."""
    pairs = heads * seen.pairs
    return OperatorWork(2 * (q.shape[-1] + v.shape[-1]) * pairs, pairs, 4 * pairs, backend=backend, tile=seen.tile)


def backward_work(q: Tensor, v: Tensor, seen: tiles.KernelTiles, backend: str) -> OperatorWork:
    """One backward that recomputes the scores: five products, one exponential a pair."""
    return backward_of(q.shape[0] * q.shape[1], q, v, seen, backend)


def backward_of(heads: int, q: Tensor, v: Tensor, seen: tiles.KernelTiles, backend: str) -> OperatorWork:
    """One such backward of so many heads."""
    pairs = heads * seen.pairs
    return OperatorWork(
        2 * (3 * q.shape[-1] + 2 * v.shape[-1]) * pairs, pairs, 4 * pairs, backend=backend, tile=seen.tile
    )


def heads_first(given: SimpleNamespace) -> tuple[int, int]:
    """Queries and keys of `[b, h, n, d]`."""
    return given.query.shape[-2], given.key.shape[-2]


@register_by_name(aten._scaled_dot_product_flash_attention_for_cpu)
def flash_cpu(given: SimpleNamespace, out: object) -> OperatorWork:
    """torch's CPU flash kernel, by the tiles that it visits."""
    return forward_work(given.query, given.value, tiles.flash_cpu(*heads_first(given), given.is_causal), "flash (CPU)")


@register_by_name(aten._scaled_dot_product_flash_attention_for_cpu_backward)
def flash_cpu_backward(given: SimpleNamespace, out: object) -> OperatorWork:
    """Its backward, over the same tiles."""
    return backward_work(given.query, given.value, tiles.flash_cpu(*heads_first(given), given.is_causal), "flash (CPU)")


@register_by_name(aten._scaled_dot_product_flash_attention)
def flash(given: SimpleNamespace, out: object) -> OperatorWork:
    """FlashAttention on an accelerator; it aligns the causal mask bottom right."""
    seen = tiles.triangle(*heads_first(given), given.is_causal, bottom_right=True)
    return forward_work(given.query, given.value, seen, "flash")


@register_by_name(aten._scaled_dot_product_flash_attention_backward)
def flash_backward(given: SimpleNamespace, out: object) -> OperatorWork:
    """Its backward."""
    seen = tiles.triangle(*heads_first(given), given.is_causal, bottom_right=True)
    return backward_work(given.query, given.value, seen, "flash")


TOP_LEFT = {
    aten._scaled_dot_product_efficient_attention: "efficient",
    aten._scaled_dot_product_cudnn_attention: "cudnn",
    aten._scaled_dot_product_fused_attention_overrideable: "overrideable",
    aten._scaled_dot_product_efficient_attention_backward: "efficient",
    aten._scaled_dot_product_cudnn_attention_backward: "cudnn",
    aten._scaled_dot_product_fused_attention_overrideable_backward: "overrideable",
}


def top_left(given: SimpleNamespace, out: object, kernel: str) -> OperatorWork:
    """A kernel that SDPA calls with a mask aligned top left, forward or (given a gradient) backward."""
    seen = tiles.triangle(*heads_first(given), given.is_causal)
    work = backward_work if hasattr(given, "out") else forward_work
    return work(given.query, given.value, seen, kernel)


for _operator, _kernel in TOP_LEFT.items():
    register_by_name(_operator)(partial(top_left, kernel=_kernel))


@register_by_name(aten._scaled_dot_product_attention_math_for_mps)
def metal(given: SimpleNamespace, out: object) -> OperatorWork:
    """Explicit attention in one operator: every pair, whatever the mask."""
    return forward_work(given.query, given.value, tiles.triangle(*heads_first(given), False), "math (Metal)")


@register(aten._triton_scaled_dot_attention)
def triton(q: Tensor, k: Tensor, v: Tensor, *_: object, out: object, **__: object) -> OperatorWork:
    """A Triton kernel that keeps every pair."""
    return forward_work(q, v, tiles.triangle(q.shape[-2], k.shape[-2], False), "triton")


@register(aten._native_multi_head_attention, aten._triton_multi_head_attention)
def fast_path(
    q: Tensor, k: Tensor, v: Tensor, width: int, heads: int, qkv_weight: Tensor, *_: object, out: object, **__: object
) -> OperatorWork:
    """`nn.MultiheadAttention` in inference, in one operator: four projections and the mixing, a pair of each head."""
    batch, n, m = q.shape[0], q.shape[1], k.shape[1]
    projections = 2 * batch * (2 * n + 2 * m) * width * width
    pairs = batch * heads * n * m
    return OperatorWork(projections + 4 * batch * n * m * width, pairs, 4 * pairs, backend="multi-head fast path")


@register_by_name(aten._transformer_encoder_layer_fwd)
def encoder_fast_path(given: SimpleNamespace, out: object) -> OperatorWork:
    """`nn.TransformerEncoderLayer` in inference, in one operator: the attention and the two products of its FFN."""
    x, width = given.src, given.embed_dim
    attention = fast_path(x, x, x, width, given.num_heads, given.qkv_weight, out=out)
    tokens, hidden = x.shape[0] * x.shape[1], given.ffn_weight_1.shape[0]
    return attention._replace(flops=attention.flops + 4 * tokens * width * hidden)


@register(FLEX)
def flex(
    q: Tensor, k: Tensor, v: Tensor, score_mod: object, block_mask: FlatMask, *_: object, out: object, **__: object
) -> OperatorWork:
    """FlexAttention: the tiles that its BlockMask leaves alive, each of them whole."""
    return forward_work(q, v, live_tiles(q, k, block_mask), "flex")


@register(FLEX_BACKWARD)
def flex_backward(
    q: Tensor, k: Tensor, v: Tensor, o: Tensor, lse: Tensor, grad: object, grad_lse: object, fw: object, joint: object,
    block_mask: FlatMask, *_: object, out: object, **__: object,
) -> OperatorWork:  # fmt: skip
    """FlexAttention's backward, over the same tiles."""
    return backward_work(q, v, live_tiles(q, k, block_mask), "flex")


def live_tiles(q: Tensor, k: Tensor, block_mask: FlatMask) -> tiles.KernelTiles:
    """Pairs in the partial and full tiles of a BlockMask, for one head; all of them where there is no mask.

    `block_mask` is flat: both lengths, counts `[b, h, rows of tiles]` and indices of the partial tiles, then of the
    full ones, ..., the sides of a tile, the mask_mod. A BlockMask over several heads gives their mean.
    """
    rows, keys = block_mask[-3:-1]
    if is_maskless(rows, keys):
        return tiles.KernelTiles(q.shape[-2] * k.shape[-2], "all pairs (FlexAttention without a BlockMask)")
    partial, full = block_mask[2], block_mask[4]
    live = _live(partial) + (0 if full is None else _live(full))
    masks = partial.shape[0] * partial.shape[1]
    return tiles.KernelTiles(live * rows * keys // masks, f"{rows} x {keys} (live tiles of the BlockMask)")


def _live(count: Tensor) -> int:
    noted = noted_live(count)
    if noted is not None:
        return noted
    if is_fake(count):
        raise Unsupported(
            "how many tiles of a BlockMask are alive is not known: it was cut from another one, or put together from "
            "tensors that have no values while they are counted",
            hint="make it by create_block_mask, in the module's constructor or in its forward",
        )
    with real_numbers():
        return int(count.sum())
