"""What single kernels take for themselves while they run: as predicted, or the operator is named as not known."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from attnprof.counting import count
from attnprof.counting.counter import learn
from attnprof.counting.storages import flat
from attnprof.shapes import Shape
from tests.unit.counting.allocator import peak_of
from tests.unit.counting.modules import ModuleTarget

aten = torch.ops.aten
FEW = 128  # bytes: numbers that kernels wrap in tensors, and lists of places of a few dimensions
r = torch.randn
X = r(4, 256, 64)
ROW = r(256)
PLACES = torch.randint(0, 64, (4, 256, 8))
WHOLE = X > 0
SMALL = torch.ones(256, 64, dtype=torch.int32)

# Everyday operators, with arguments of one type and of several, as they lie and transposed.
CALLS: list[tuple[Any, tuple[Any, ...]]] = [
    (aten.mul.Tensor, (X, X)),
    (aten.mul.Tensor, (X, SMALL)),
    (aten.mul.Tensor, (X, WHOLE)),
    (aten.mul.Tensor, (X.bfloat16(), X)),
    (aten.add.Tensor, (X, X.double())),
    (aten.add_.Tensor, (X.bfloat16(), X)),
    (aten.div.Tensor, (PLACES, PLACES)),
    (aten.exp.default, (SMALL,)),
    (aten.gt.Tensor, (X, SMALL)),
    (aten.eq.Tensor, (PLACES, PLACES)),
    (aten.logical_and.default, (WHOLE, WHOLE)),
    (aten.where.self, (WHOLE, X, X)),
    (aten.where.self, (WHOLE, X, X.double())),
    (aten.masked_fill.Scalar, (X, WHOLE, 0.0)),
    (aten.addcmul.default, (X, X, X)),
    (aten.clamp.default, (X, 0.0)),
    (aten.gelu.default, (X,)),
    (aten.sum.dim_IntList, (X, [1])),
    (aten.sum.dim_IntList, (WHOLE, [1])),
    (aten.sum.dim_IntList, (X.bfloat16(), [1])),
    (aten.mean.dim, (X, [1])),
    (aten.mean.dim, (X.bfloat16(), [1])),
    (aten.cumsum.default, (X, 1)),
    (aten.cumsum.default, (WHOLE, 1)),
    (aten.any.dim, (X, 1)),
    (aten.all.dim, (WHOLE, 1)),
    (aten.amax.default, (X, [1])),
    (aten.argmax.default, (X, 1)),
    (aten.var.correction, (X, [1])),
    (aten.linalg_vector_norm.default, (X, 2, [1])),
    (aten._softmax.default, (X, -1, False)),
    (aten._softmax.default, (X.transpose(1, 2), -1, False)),
    (aten._log_softmax.default, (X.transpose(1, 2), -1, False)),
    (aten._safe_softmax.default, (X, -1)),
    (aten.logsumexp.default, (X, [-1])),
    (aten.native_layer_norm.default, (X, [64], r(64), r(64), 1e-5)),
    (aten.native_layer_norm_backward.default,
     (X, X, [64], r(4, 256, 1), r(4, 256, 1), r(64), r(64), [True, True, True])),
    (aten.native_group_norm.default, (X, ROW, ROW, 4, 256, 64, 8, 1e-5)),
    (aten.native_group_norm_backward.default, (X, X, r(4, 8), r(4, 8), ROW, 4, 256, 64, 8, [True, True, True])),
    (aten.native_batch_norm.default, (X, ROW, ROW, ROW, ROW.abs(), True, 0.1, 1e-5)),
    (aten.native_batch_norm_backward.default,
     (X, X, ROW, ROW, ROW.abs(), ROW, ROW.abs(), True, 1e-5, [True, True, True])),
    (aten.sort.default, (X,)),
    (aten.sort.default, (X, 1)),
    (aten.topk.default, (X, 4)),
    (aten.kthvalue.default, (X, 4)),
    (aten.gather.default, (X, 2, PLACES)),
    (aten.gather.default, (X, 2, PLACES.int())),
    (aten.scatter_add.default, (X, 2, PLACES, r(4, 256, 8))),
    (aten.index.Tensor, (X, [None, torch.arange(5)])),
    (aten.index_put.default, (X, [None, torch.arange(5)], r(4, 5, 64), True)),
    (aten.index_add.default, (X, 1, torch.arange(5), r(4, 5, 64))),
    (aten.index_select.default, (X, 1, torch.arange(5))),
    (aten.embedding.default, (r(99, 64), PLACES)),
    (aten.embedding_dense_backward.default, (X, torch.randint(0, 9, (4, 256)), 100, -1, False)),
    (aten.masked_select.default, (X, WHOLE)),
    (aten._unique2.default, (PLACES.flatten(),)),
    (aten.multinomial.default, (X[0].abs(), 3, True)),
    (aten.searchsorted.Tensor, (r(64).sort()[0], X)),
    (aten.nonzero.default, (WHOLE,)),
    (aten.flip.default, (X, [1])),
    (aten.roll.default, (X, [1, 2], [1, 2])),
    (aten.tril.default, (X,)),
    (aten.constant_pad_nd.default, (X, [1, 1])),
    (aten.cat.default, ([X, X], 1)),
    (aten.repeat.default, (X, [2, 1, 1])),
    (aten.repeat_interleave.Tensor, (torch.ones(64, dtype=torch.long),)),
    (aten.unfold_backward.default, (r(4, 256, 8, 8), [4, 256, 64], 2, 8, 8)),
    (aten.mm.default, (r(64, 64), r(64, 64))),
    (aten.mm.default, (r(128, 64)[::2, ::2], r(32, 64))),
    (aten.bmm.default, (X, X.transpose(1, 2))),
    (aten.addmm.default, (r(64), r(64, 64), r(64, 64).t())),
    (aten.baddbmm.default, (r(1, 64, 64), r(4, 64, 64), r(4, 64, 64))),
    (aten.addbmm.default, (r(64, 64), r(4, 64, 64), r(4, 64, 64))),
    (aten.mv.default, (r(64, 64), r(64))),
    (aten.convolution.default, (X, r(64, 256, 3), None, [1], [1], [1], False, [0], 1)),
    (aten._euclidean_dist.default, (X, X)),
    (aten._linalg_svd.default, (X,)),
    (aten.linalg_inv_ex.default, (r(4, 64, 64),)),
    (aten.linalg_qr.default, (X,)),
    (aten.linalg_cholesky_ex.default, (torch.eye(64),)),
    (aten._trilinear.default, (X[0, :, None, :, None], r(1, 8, 64, 64), X[0, :, None, None], [], [], [], [2, 3])),
    (aten.upsample_linear1d.default, (X, [128], False)),
    (aten.avg_pool2d.default, (X, [2, 2])),
]  # fmt: skip


def hidden(operator: Any, args: tuple[Any, ...]) -> tuple[int, Any]:
    """What a call holds at its peak beyond its results, from the allocator's events; and its result."""
    operator(*args)
    made: list[Any] = []
    peak = peak_of(lambda: made.append(operator(*args)))
    result = made[0]
    given = {t.untyped_storage()._cdata for t in flat(args)}
    new = {t.untyped_storage()._cdata: t.untyped_storage().nbytes() for t in flat((result,))}
    return peak - sum(size for key, size in new.items() if key not in given), result


@pytest.mark.parametrize(("operator", "args"), CALLS, ids=[f"{at} {o}" for at, (o, _) in enumerate(CALLS)])
def test_a_kernels_buffers_are_known_or_it_is_named(operator: Any, args: tuple[Any, ...]) -> None:
    rule = learn(operator)
    measured, made = hidden(operator, args)
    predicted = rule.workspace(*args, made=made) if rule.workspace else 0
    assert rule.unseen or abs(predicted - measured) <= FEW, (predicted, measured)


def test_most_operators_are_known() -> None:
    unseen = [str(operator) for operator, _ in CALLS if learn(operator).unseen]
    assert len(unseen) < len(CALLS) / 4


class Recurrent(nn.Module):
    """An LSTM, whose buffers oneDNN plans."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.LSTM(16, 16, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x)[0]


class Inverse(nn.Module):
    """The inverse of a matrix, whose buffers LAPACK asks for."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.linalg.inv(x @ x.transpose(1, 2))


@pytest.mark.parametrize(
    ("make", "named"), [(Recurrent, "mkldnn_rnn_layer"), (Inverse, "linalg_inv_ex")], ids=["oneDNN", "LAPACK"]
)
def test_a_library_that_plans_its_own_memory_is_named_beside_the_peak(make: type[nn.Module], named: str) -> None:
    counted = count(ModuleTarget(make, lambda: (torch.randn(1, 16, 16),)), Shape(16), "forward")
    assert counted.cost.certificate is not None
    assert counted.cost.certificate.unknown_workspaces == (named,)
    assert "workspace_unknown" in counted.flags
