"""Formulas of fused attention: what each kernel computes, forward and (with recomputation) backward.

Forward: scores and weighted sum, 2 (d_k + d_v) a pair. Backward: scores again, then four products, so
2 (3 d_k + 2 d_v) a pair; where d_k = d_v this is 2.5 forwards.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch._higher_order_ops.flex_attention import flex_attention, flex_attention_backward
from torch._subclasses.fake_tensor import FakeTensor

from attnprof.cost import tiles
from attnprof.cost.registry import Work, register
from attnprof.errors import AttnprofError

aten = torch.ops.aten


def forward_work(q: Tensor, v: Tensor, seen: tiles.Tiles, backend: str) -> Work:
    """One forward over `[b, h, n, d_k]` queries: an exponential a pair, and scale, maximum, difference and sum."""
    pairs = q.shape[0] * q.shape[1] * seen.pairs
    return Work(2 * (q.shape[-1] + v.shape[-1]) * pairs, pairs, 4 * pairs, backend=backend, tile=seen.tile)


def backward_work(q: Tensor, v: Tensor, seen: tiles.Tiles, backend: str) -> Work:
    """One backward that recomputes the scores: five products, one exponential a pair."""
    pairs = q.shape[0] * q.shape[1] * seen.pairs
    return Work(2 * (3 * q.shape[-1] + 2 * v.shape[-1]) * pairs, pairs, 4 * pairs, backend=backend, tile=seen.tile)


@register(aten._scaled_dot_product_flash_attention_for_cpu)
def flash_cpu(
    q: Tensor, k: Tensor, v: Tensor, dropout_p: float = 0.0, is_causal: bool = False, *_: Any, out: Any, **__: Any
) -> Work:
    """torch's CPU flash kernel, by the tiles that it visits."""
    return forward_work(q, v, tiles.flash_cpu(q.shape[-2], k.shape[-2], is_causal), "flash (CPU)")


@register(aten._scaled_dot_product_flash_attention_for_cpu_backward)
def flash_cpu_backward(
    grad: Tensor, q: Tensor, k: Tensor, v: Tensor, o: Tensor, lse: Tensor, dropout_p: float, is_causal: bool, *_: Any,
    out: Any, **__: Any,
) -> Work:  # fmt: skip
    """Its backward, over the same tiles."""
    return backward_work(q, v, tiles.flash_cpu(q.shape[-2], k.shape[-2], is_causal), "flash (CPU)")


@register(aten._scaled_dot_product_flash_attention)
def flash(
    q: Tensor, k: Tensor, v: Tensor, dropout_p: float = 0.0, is_causal: bool = False, *_: Any, out: Any, **__: Any
) -> Work:
    """FlashAttention-2 on an accelerator; it aligns the causal mask bottom right."""
    seen = tiles.triangle(q.shape[-2], k.shape[-2], is_causal, bottom_right=True)
    return forward_work(q, v, seen, "flash")


@register(aten._scaled_dot_product_flash_attention_backward)
def flash_backward(
    grad: Tensor, q: Tensor, k: Tensor, v: Tensor, o: Tensor, lse: Tensor, cum_q: Any, cum_k: Any, max_q: int,
    max_k: int, dropout_p: float, is_causal: bool, *_: Any, out: Any, **__: Any,
) -> Work:  # fmt: skip
    """FlashAttention-2's backward."""
    seen = tiles.triangle(q.shape[-2], k.shape[-2], is_causal, bottom_right=True)
    return backward_work(q, v, seen, "flash")


@register(aten._scaled_dot_product_efficient_attention)
def efficient(
    q: Tensor, k: Tensor, v: Tensor, bias: Any, lse: bool, dropout_p: float = 0.0, is_causal: bool = False, *_: Any,
    out: Any, **__: Any,
) -> Work:  # fmt: skip
    """The memory-efficient kernel; SDPA calls it with a mask aligned top left."""
    return forward_work(q, v, tiles.triangle(q.shape[-2], k.shape[-2], is_causal), "efficient")


@register(aten._scaled_dot_product_efficient_attention_backward)
def efficient_backward(
    grad: Tensor, q: Tensor, k: Tensor, v: Tensor, bias: Any, o: Tensor, lse: Tensor, seed: Any, offset: Any,
    dropout_p: float, mask: Any, is_causal: bool = False, *_: Any, out: Any, **__: Any,
) -> Work:  # fmt: skip
    """The memory-efficient kernel's backward."""
    return backward_work(q, v, tiles.triangle(q.shape[-2], k.shape[-2], is_causal), "efficient")


@register(aten._scaled_dot_product_cudnn_attention)
def cudnn(
    q: Tensor, k: Tensor, v: Tensor, bias: Any, lse: bool, dropout_p: float = 0.0, is_causal: bool = False, *_: Any,
    out: Any, **__: Any,
) -> Work:  # fmt: skip
    """cuDNN's fused attention."""
    return forward_work(q, v, tiles.triangle(q.shape[-2], k.shape[-2], is_causal), "cudnn")


@register(aten._scaled_dot_product_cudnn_attention_backward)
def cudnn_backward(
    grad: Tensor, q: Tensor, k: Tensor, v: Tensor, o: Tensor, lse: Tensor, seed: Any, offset: Any, bias: Any,
    cum_q: Any, cum_k: Any, max_q: int, max_k: int, dropout_p: float, is_causal: bool, *_: Any, out: Any, **__: Any,
) -> Work:  # fmt: skip
    """cuDNN's backward."""
    return backward_work(q, v, tiles.triangle(q.shape[-2], k.shape[-2], is_causal), "cudnn")


@register(aten._scaled_dot_product_fused_attention_overrideable)
def overrideable(
    q: Tensor, k: Tensor, v: Tensor, bias: Any = None, dropout_p: float = 0.0, is_causal: bool = False, *_: Any,
    out: Any, **__: Any,
) -> Work:  # fmt: skip
    """The kernel of an accelerator that brings its own."""
    return forward_work(q, v, tiles.triangle(q.shape[-2], k.shape[-2], is_causal), "overrideable")


@register(aten._native_multi_head_attention)
def fast_path(
    q: Tensor, k: Tensor, v: Tensor, width: int, heads: int, qkv_weight: Tensor, *_: Any, out: Any, **__: Any
) -> Work:
    """`nn.MultiheadAttention` in inference, in one operator: four projections and the mixing, a pair of each head."""
    batch, n, m = q.shape[0], q.shape[1], k.shape[1]
    projections = 2 * batch * (2 * n + 2 * m) * width * width
    pairs = batch * heads * n * m
    return Work(projections + 4 * batch * n * m * width, pairs, 4 * pairs, backend="multi-head fast path")


@register(aten._transformer_encoder_layer_fwd)
def encoder_fast_path(
    x: Tensor, width: int, heads: int, qkv_weight: Tensor, qkv_bias: Any, proj_weight: Any, proj_bias: Any,
    use_gelu: bool, norm_first: bool, eps: float, *weights: Any, out: Any, **__: Any,
) -> Work:  # fmt: skip
    """`nn.TransformerEncoderLayer` in inference, in one operator: the attention and the two products of its FFN."""
    attention = fast_path(x, x, x, width, heads, qkv_weight, out=out)
    hidden = next(w.shape[0] for w in weights[4:] if isinstance(w, Tensor) and w.dim() == 2)
    tokens = x.shape[0] * x.shape[1]
    return attention._replace(flops=attention.flops + 4 * tokens * width * hidden)


@register(flex_attention)
def flex(q: Tensor, k: Tensor, v: Tensor, score_mod: Any, block_mask: Any, *_: Any, out: Any, **__: Any) -> Work:
    """FlexAttention: the tiles that its BlockMask leaves alive, each of them whole."""
    return forward_work(q, v, live_tiles(block_mask), "flex")


@register(flex_attention_backward)
def flex_backward(
    q: Tensor, k: Tensor, v: Tensor, o: Tensor, lse: Tensor, grad: Any, grad_lse: Any, fw: Any, joint: Any,
    block_mask: Any, *_: Any, out: Any, **__: Any,
) -> Work:  # fmt: skip
    """FlexAttention's backward, over the same tiles."""
    return backward_work(q, v, live_tiles(block_mask), "flex")


def live_tiles(block_mask: Any) -> tiles.Tiles:
    """Pairs in the partial and full tiles of a BlockMask, for one head.

    The counts of live key blocks are `[b, h, rows of tiles]`; on a fake tensor, which has no values, they are what
    its maker noted as `live_blocks`. A BlockMask over several heads gives their mean.
    """
    counts = [t for t in block_mask if isinstance(t, Tensor) and t.dim() == 3][:2]
    rows, keys = [side for side in block_mask if isinstance(side, int)][-2:]
    masks = counts[0].shape[0] * counts[0].shape[1]
    live = sum(_live(count) for count in counts)
    return tiles.Tiles(live * rows * keys // masks, f"{rows} x {keys} (live tiles of the BlockMask)")


def _live(count: Tensor) -> int:
    noted = getattr(count, "live_blocks", None)
    if noted is not None:
        return noted
    if isinstance(count, FakeTensor):
        raise AttnprofError(
            "how many tiles of this BlockMask are alive is not known without its values",
            hint="set `live_blocks` on its kv_num_blocks and full_kv_num_blocks, as integers",
        )
    return int(count.sum())
