"""Results of common operators on fake CPU tensors without the general machinery: their `meta` kernel, wrapped.

A fake tensor mode resolves every operator anew for every shape, which takes most of a count's time. For operators whose
`meta` kernel is the shape function of the CPU's own, the result is the same.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from attnprof.torch_private import Arguments, FakeTensorMode, Keywords, Operator, by_meta_kernel, is_valueless

aten = torch.ops.aten
CPU = torch.device("cpu")
SHORT = frozenset(
    {
        aten.mm.default,
        aten.bmm.default,
        aten.addmm.default,
        aten.add.Tensor,
        aten.add_.Tensor,
        aten.sub.Tensor,
        aten.sub_.Tensor,
        aten.mul.Tensor,
        aten.mul_.Tensor,
        aten.div.Tensor,
        aten.div_.Tensor,
        aten.neg.default,
        aten.exp.default,
        aten.exp_.default,
        aten.sum.dim_IntList,
        aten.amax.default,
        aten.clamp.default,
        aten._softmax.default,
        aten._softmax_backward_data.default,
        aten.masked_fill_.Scalar,
        aten.copy_.default,
        aten.clone.default,
        aten.cat.default,
        aten.view.default,
        aten._unsafe_view.default,
        aten.expand.default,
        aten.transpose.int,
        aten.t.default,
        aten.permute.default,
        aten.unsqueeze.default,
        aten.squeeze.dim,
        aten.slice.Tensor,
        aten.select.int,
        aten.detach.default,
        aten.alias.default,
        aten.as_strided.default,
        aten.unfold.default,
        aten.split.Tensor,
        aten.fill_.Scalar,
        aten.zero_.default,
        aten.select_backward.default,
        aten.slice_backward.default,
        aten.unfold_backward.default,
        aten.native_layer_norm.default,
        aten.constant_pad_nd.default,
        aten.cumsum.default,
        aten.stack.default,
        aten.sigmoid.default,
        aten.sigmoid_backward.default,
        aten.silu.default,
        aten.silu_backward.default,
        aten.gelu.default,
        aten.gelu_backward.default,
        aten.softplus.default,
        aten.softplus_backward.default,
        aten.tanh.default,
        aten.tanh_backward.default,
        aten.rsqrt.default,
        aten.pow.Tensor_Scalar,
        aten.mul.Scalar,
        aten.div.Scalar,
        aten.tril.default,
        aten.triu.default,
        aten.flip.default,
        aten.masked_fill.Scalar,
        aten.mean.dim,
        aten.index_select.default,
        aten.where.self,
        aten.bitwise_or.Tensor,
        aten.gt.Tensor,
        aten.eq.Tensor,
        aten.eq.Scalar,
        aten.ge.Scalar,
        aten.split_with_sizes.default,
    }
)


def shortcut(func: Operator, args: Arguments, kwargs: Keywords, mode: FakeTensorMode) -> object:
    """The operator's result as fake tensors, or `NotImplemented` where the general way must be taken."""
    if func not in SHORT or not _plain(args, mode) or any(isinstance(v, Tensor) for v in kwargs.values()):
        return NotImplemented
    return by_meta_kernel(func, args, kwargs, mode, CPU)


def _plain(values: Iterable[object], mode: FakeTensorMode) -> bool:
    for value in values:
        if isinstance(value, Tensor):
            if not is_valueless(value, mode, CPU):
                return False
        elif isinstance(value, (list, tuple)) and value and isinstance(value[0], Tensor) and not _plain(value, mode):
            return False
    return True
