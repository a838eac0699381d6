"""Weights that data selects are weights: no product with them is core, whatever chose them.

By hand, a multiply-add being 2: b = 2, n = 24, D = 18. Explicit attention has a core of 4 b n n D; every token is then
multiplied by its own matrix `[D, D]` of a bank, 2 b n D D, as projections are.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from attnprof.counting import count
from attnprof.records import Cost
from attnprof.shapes import Shape
from attnprof.words import Pass
from tests.unit.counting.modules import ModuleTarget

B, N, D, E = 2, 24, 18, 4
CORE = 4 * B * N * N * D
LINEAR = 2 * B * N * D * D
SHAPE = Shape(n=N, batch=B, dim=D, heads=1)


def counted(make: Callable[[], nn.Module], pass_: Pass) -> Cost:
    return count(ModuleTarget(make, lambda: (torch.randn(B, N, D),)), SHAPE, pass_).cost


SELECTIONS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "an index": lambda bank, at: bank[at],
    "index_select": lambda bank, at: bank.index_select(0, at.flatten()).view(*at.shape, D, D),
    "gather": lambda bank, at: bank.flatten(1).gather(0, at.flatten()[:, None].expand(-1, D * D)).view(*at.shape, D, D),
    "an embedding": lambda bank, at: F.embedding(at, bank.flatten(1)).view(*at.shape, D, D),
    "take": lambda bank, at: bank.take(at[..., None] * D * D + torch.arange(D * D)).view(*at.shape, D, D),
    "an index of a scaled bank": lambda bank, at: (bank * 0.5)[at].transpose(-1, -2).contiguous(),
}


class Gathered(nn.Module):
    """Explicit attention, and after it a matrix for each token, chosen by its own scores."""

    def __init__(self, select: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.qkv, self.router = nn.Linear(D, 3 * D, bias=False), nn.Linear(D, E, bias=False)
        self.bank = nn.Parameter(torch.randn(E, D, D))
        self.select = select

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).chunk(3, -1)
        mixed = (q @ k.transpose(-1, -2)).softmax(-1) @ v
        chosen = self.select(self.bank, self.router(mixed).argmax(-1))
        return (mixed[:, :, None] @ chosen)[:, :, 0]


@pytest.mark.parametrize("how", SELECTIONS)
@pytest.mark.parametrize(("pass_", "times"), [(Pass.FORWARD, 1), (Pass.TRAIN, 3)])
def test_a_selected_weight_is_a_weight(how: str, pass_: Pass, times: int) -> None:
    cost = counted(lambda: Gathered(SELECTIONS[how]), pass_)
    router = 2 * B * N * D * E  # in training too: argmax has no gradient, so nor has the router
    assert cost.flops_core_executed == times * CORE
    assert cost.flops_executed == times * (CORE + 4 * LINEAR) + router


class FromIds(nn.Module):
    """Attention over embedded tokens: the embeddings are selected, and yet what is made of them is the input."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.qkv = nn.Embedding(E, D), nn.Linear(D, 3 * D, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        ids = (x.sum(-1) > 0).long()
        q, k, v = self.qkv(self.embedding(ids) + x.mean()).chunk(3, -1)
        return (q @ k.transpose(-1, -2)).softmax(-1) @ v


class FromIdsAlone(FromIds):
    """The same, without anything of the input added to the embeddings."""

    def forward(self, x: Tensor) -> Tensor:
        ids = (x.sum(-1) > 0).long()
        q, k, v = self.qkv(self.embedding(ids)).chunk(3, -1)
        return (q @ k.transpose(-1, -2)).softmax(-1) @ v


@pytest.mark.parametrize("kind", [FromIds, FromIdsAlone])
def test_attention_over_embedded_tokens_is_core(kind: type[nn.Module]) -> None:
    cost = counted(kind, Pass.TRAIN)
    assert cost.flops_core_executed == 3 * CORE
