"""Choosing keys and reading them in several stretches is what one does, forward and backward, hidden choices or not."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from attnprof.layers import chosen_keys
from attnprof.layers.chosen_keys import choice_pairs, choose_keys, read_chosen, stretches


def test_stretches_are_all_rows_once_within_the_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chosen_keys, "BUDGET", 100)
    assert stretches(10, 7) == [slice(0, 10)]
    assert stretches(10, 20) == [slice(0, 4), slice(4, 8), slice(8, 10)]
    assert stretches(3, 1000) == [slice(0, 1), slice(1, 2), slice(2, 3)]
    # 2 index heads and 10 tokens: 20 numbers a row, so 4 rows: 4 * 4 + 4 * 8 + 2 * 10 pairs, of pairs of tokens half.
    assert choice_pairs(1, 2, 10) == 68
    assert choice_pairs(1, 2, 10, rate=2) == 4 * 2 + 4 * 4 + 2 * 5


@pytest.mark.parametrize("rate", [1, 3])
@pytest.mark.parametrize("budget", [1, 500, 1 << 26])
def test_a_choice_is_the_best_of_those_that_are_there(budget: int, rate: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chosen_keys, "BUDGET", budget)
    torch.manual_seed(0)
    n, count = 21, 4
    q, k, weights = torch.randn(2, 3, n, 5), torch.randn(2, n // rate, 5), torch.randn(2, 3, n)
    index, hidden = choose_keys(q.double(), k.double(), weights.double(), count, rate)
    for b in range(2):
        for i in range(n):
            there = [j for j in range(n // rate) if (j + 1) * rate <= i + 1]
            products = torch.einsum("hd,jd->hj", q[b, :, i].double(), k[b].double()).relu()
            scores = (weights[b, :, i].double() @ products).tolist()
            best = sorted(there, key=lambda j: (-scores[j], j))[:count]
            assert index[b, i][~hidden[b, i]].tolist() == best


@pytest.mark.parametrize("budget", [1, 300, 1 << 26])
def test_reading_and_its_gradients_are_those_of_a_masked_softmax(budget: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chosen_keys, "BUDGET", budget)
    torch.manual_seed(1)
    n, m, groups, each = 9, 11, 2, 2
    streams = [torch.randn(2, rows, heads, 3, dtype=torch.float64) for rows, heads in ((n, 4), (m, 2), (m, 2))]
    index = torch.stack([torch.stack([torch.randperm(m)[:5] for _ in range(n)]) for _ in range(2)])
    hidden = torch.rand(2, n, 5) < 0.4
    hidden[:, 3] = True
    ours, theirs = ([x.clone().requires_grad_() for x in streams] for _ in range(2))
    mixed, sums = read_chosen(*ours, index, hidden)
    expected, expected_sums = masked(*theirs, index, hidden, groups, each)
    torch.testing.assert_close(mixed, expected)
    torch.testing.assert_close(sums, expected_sums)
    outer, inner = torch.randn_like(mixed), torch.randn_like(sums)
    reads = ~hidden.all(-1)[..., None]
    for out, lse in ((mixed, sums), (expected, expected_sums)):
        ((out * outer).sum() + torch.where(reads, lse, 0.0).mul(inner).sum()).backward()
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine.grad, other.grad)


def masked(
    q: Tensor, k: Tensor, v: Tensor, index: Tensor, hidden: Tensor, groups: int, each: int
) -> tuple[Tensor, Tensor]:
    """The same by a mask over all keys; a row that reads none gives 0 and -inf."""
    seen = torch.zeros(*index.shape[:2], k.shape[1], dtype=torch.int64).scatter_add(2, index, (~hidden).long()) > 0
    k, v = (x.repeat_interleave(each, 2) for x in (k, v))
    assert k.shape[2] == groups * each
    scores = torch.einsum("bihd,bjhd->bihj", q, k).masked_fill(~seen[:, :, None], -torch.inf)
    empty = ~seen.any(-1)[:, :, None]
    sums = torch.where(empty, -torch.inf, scores.masked_fill(empty[..., None], 0.0).logsumexp(-1))
    weights = scores.masked_fill(empty[..., None], 0.0).softmax(-1).masked_fill(empty[..., None], 0.0)
    return torch.einsum("bihj,bjhd->bihd", weights, v), sums
