"""Work of a real run, from the shapes of its products alone: nothing of `attnprof.counting` is asked."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from attnprof.layers import carry, rewriting
from attnprof.shapes import Shape
from attnprof.targets.scheme import CatalogTarget

aten = torch.ops.aten
FLASH_KEYS = 512
OURS = {**carry.PLAIN, **rewriting.PLAIN}


def flash_pairs(n: int, m: int, causal: bool) -> int:
    """Query-key pairs of a head that torch's CPU flash kernel computes, by its loops (FlashAttentionKernel.cpp).

    Blocks of queries read blocks of 512 keys from the first one on, causal while they begin before the block's end. As
    32, 64 and 256 divide 512, that is: query i reads whole blocks up to the one that holds key i.
    """
    if not causal:
        return n * m
    return sum(min((i // FLASH_KEYS + 1) * FLASH_KEYS, m) for i in range(n))


def stated(target: CatalogTarget, shape: Shape) -> int | None:
    """The closed form that a scheme states for its core, or, of the fused kernel, its loops; None of a masked run."""
    if target.name != "flash":
        return target.flops_core(shape)
    pairs = flash_pairs(shape.n, shape.keys, shape.causal)
    return 4 * shape.batch * shape.heads * shape.d * pairs


class Products(TorchDispatchMode):
    """Adds up 2 x rows x columns x inner of every product, 4 d a pair of fused attention, filters, transforms."""

    flops = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket
        if func.namespace == "attnprof" and name.__name__ in OURS:  # the products that an operator of ours is made of
            with self:
                return OURS[name.__name__](*args, **(kwargs or {}))
        if name is aten.matmul:  # inside of such an operator nothing has taken it apart before
            with self:
                return func.decompose(*args, **(kwargs or {}))
        out = func(*args, **(kwargs or {}))
        if name in (aten.mm, aten.bmm):
            self.flops += 2 * out.numel() * args[0].shape[-1]
        elif name in (aten.addmm, aten.baddbmm):
            self.flops += 2 * out.numel() * args[1].shape[-1]
        elif name is aten.convolution:
            self.flops += 2 * out.numel() * args[1][0].numel()
        elif name is aten.linalg_solve_triangular:
            self.flops += args[0].shape[-1] * args[1].numel()
        elif name in (aten._fft_r2c, aten._fft_c2r):  # by convention half of a complex one, 5 N log2 N
            real = args[0] if name is aten._fft_r2c else out
            points = math.prod(real.shape[d] for d in args[1])
            self.flops += round(2.5 * real.numel() * math.log2(points)) if points > 1 else 0
        elif name is aten._scaled_dot_product_flash_attention_for_cpu:
            q, k = args[:2]
            causal = args[4] if len(args) > 4 else (kwargs or {}).get("is_causal", False)
            self.flops += 4 * q[..., 0, 0].numel() * q.shape[-1] * flash_pairs(q.shape[2], k.shape[2], causal)
        elif name is torch.ops.attnprof.choose_keys:
            (b, heads, n, width), keys = args[0].shape, args[1].shape[1]
            self.flops += 2 * b * heads * n * keys * (width + 1)
        elif name is torch.ops.attnprof.read_chosen:
            self.flops += 2 * args[3].numel() * args[0].shape[2] * (args[1].shape[3] + args[2].shape[3])
        else:
            assert not any(word in name.__name__ for word in ("matmul", "conv", "dot", "einsum", "attention")), name
        return out


def products_of(module: torch.nn.Module, inputs: tuple[Tensor, ...]) -> int:
    """FLOPs of the matrix products of one forward on real tensors."""
    with torch.no_grad(), Products() as seen:
        module(*inputs)
    return seen.flops
