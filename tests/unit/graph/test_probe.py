from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from attnprof.errors import AttnprofError
from attnprof.graph.findings import ProbeFinding, Recovered, findings, to_json
from attnprof.graph.probe import recover
from attnprof.pattern import Band, Dense, Expr

N = 24


class Masked(nn.Module):
    """Two heads of softmax attention under a mask, optionally over its best `best` scores only."""

    def __init__(self, mask: Tensor, best: int = 0) -> None:
        super().__init__()
        self.project, self.out = nn.Linear(16, 48), nn.Linear(16, 16)
        self.mask, self.best = mask, best

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.project(x).unflatten(-1, (3, 2, 8)).permute(2, 0, 3, 1, 4)
        scores = (q @ k.mT / math.sqrt(8)).masked_fill(~self.mask, -1e9)
        if self.best:
            least = scores.topk(self.best, dim=-1).values[..., -1:]
            scores = scores.masked_fill(scores < least, -1e9)
        return self.out((scores.softmax(-1) @ v).transpose(1, 2).flatten(2))


def mask_of(expr: Expr, n: int = N) -> Tensor:
    return torch.from_numpy(expr.slices(n).dense())


def draw(n: int = N) -> Sequence[Tensor]:
    return [torch.randn(1, n, 16)]


def probed(module: nn.Module, trials: int = 2) -> Recovered:
    torch.manual_seed(0)
    return recover(module, draw, 2, trials)


def kinds(results: list[ProbeFinding]) -> set[str]:
    return {each.kind for each in results}


@pytest.mark.parametrize("expr", [Dense(), Dense(True), Band(3), Band(2, 2)], ids=["dense", "causal", "window", "band"])
def test_a_fixed_mask_is_recovered_by_value_alone(expr: Expr) -> None:
    found = probed(Masked(mask_of(expr)))
    assert found.value.tolist() == expr.slices(N).dense().tolist()
    assert not found.selection.any()
    assert "agrees" in kinds(findings(found, False, expr.slices(N)))


def test_a_leak_of_the_future_is_named_with_its_positions() -> None:
    mask = mask_of(Dense(True))
    mask[5, 9] = True
    results = findings(probed(Masked(mask)), True, Dense(True).slices(N))
    leak = next(each for each in results if each.kind == "leak-value")
    assert (leak.count, leak.at) == (1, ((5, 9),))
    assert "5 reads 9" in leak.text
    assert next(each for each in results if each.kind == "undeclared").at == ((5, 9),)


def test_a_clean_module_is_told_in_words_that_promise_no_more() -> None:
    results = findings(probed(Masked(mask_of(Dense(True)))), True)
    assert "no leak found in 1 random input" in [each.text for each in results]


def test_a_missing_edge_and_a_dense_row_are_named() -> None:
    mask = mask_of(Band(2, 2))
    mask[7, 8] = False
    mask[3] = True
    results = findings(probed(Masked(mask)), False, Band(2, 2).slices(N))
    assert next(each for each in results if each.kind == "missing").at == ((7, 8),)
    assert next(each for each in results if each.kind == "dense-rows").at == ((3,),)


def test_selection_is_seen_by_replacement_where_the_gradient_is_blind() -> None:
    found = probed(Masked(mask_of(Dense(True)), best=3), trials=3)
    assert found.selection.any()
    assert not (found.selection & found.value).any()
    assert not (found.value | found.selection)[np.triu_indices(N, 1)].any()


class SortsByTheFuture(nn.Module):
    """Each token reads itself, scaled by the sign of a choice that all tokens make: a leak with no gradient."""

    def forward(self, x: Tensor) -> Tensor:
        first = x.sum(-1).argmax(-1, keepdim=True)
        return x * (1.0 + (first % 2).unsqueeze(-1))


def test_a_leak_through_a_choice_alone_is_a_leak() -> None:
    results = findings(probed(SortsByTheFuture(), trials=4), True)
    assert "leak-selection" in kinds(results)
    assert "leak-value" not in kinds(results)


class Cut(nn.Module):
    """The first tokens of an output that is shorter than its input."""

    def forward(self, x: Tensor) -> Tensor:
        return x[:, :-1]


def test_a_module_without_one_output_a_token_is_refused() -> None:
    with pytest.raises(AttnprofError, match="for 24 tokens, but a probe needs one output a token"):
        probed(Cut())


class Noisy(nn.Module):
    """Dropout by hand, different in every entry of a batch."""

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.rand(x.shape, dtype=x.dtype)


def test_random_draws_for_each_entry_of_a_batch_are_no_dependencies() -> None:
    found = probed(Noisy())
    assert (found.value | found.selection).tolist() == np.eye(N, dtype=bool).tolist()


def test_some_rows_only_are_reported_as_such() -> None:
    found = recover(Masked(mask_of(Dense(True))), draw, 2, 1, rows=np.asarray([0, 10, 23]))
    assert found.value.sum(axis=1).tolist() == [1, 11, 24]
    report = to_json(found, findings(found, True))
    assert report["rows"] == 3
    assert "over 3 of 24 rows" in report["findings"][0]


class Streams(nn.Module):
    """Causal attention on q, k and v."""

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)


def test_a_core_on_streams_is_probed_by_its_tokens() -> None:
    found = recover(Streams(), lambda: [torch.randn(1, 2, N, 8) for _ in range(3)], 2, 1)
    assert found.value.tolist() == Dense(True).slices(N).dense().tolist()


class SilentGradient(nn.Module):
    """Each output is its own token, with a gradient in the fifth before it that no change of that token shows."""

    def forward(self, x: Tensor) -> Tensor:
        far = x.roll(5, dims=1)
        return x + far - far.detach()


def test_rows_asked_together_lose_no_gradient() -> None:
    found = recover(SilentGradient(), lambda: (torch.randn(1, 16, 4),), heads=1, trials=1)
    own = np.arange(16)
    expected = np.zeros((16, 16), dtype=np.bool_)
    expected[own, own] = expected[own, own - 5] = True
    assert found.value.tolist() == expected.tolist()
    assert not found.selection.any()


def test_rows_that_read_nothing_in_common_share_a_backward() -> None:
    from attnprof.graph.probe import _strangers

    near = np.abs(np.subtract.outer(np.arange(64), np.arange(64))) <= 2
    groups = _strangers(near)
    assert len(groups) == 5
    assert sorted(np.concatenate(groups).tolist()) == list(range(64))
    assert all(near[group].sum(axis=0).max() == 1 for group in groups)


@pytest.mark.parametrize(
    ("mix", "chooses"),
    [
        (lambda x: x.softmax(-2) @ torch.ones(4, 4, dtype=x.dtype), False),
        (lambda x: nn.functional.scaled_dot_product_attention(x, x, x), False),
        (lambda x: nn.functional.gelu(x).masked_fill(torch.arange(4) > 2, 0.0), False),
        (lambda x: x.relu(), True),
        (lambda x: x * (x > 0), True),
        (lambda x: x.sort(dim=-2).values, True),
        (lambda x: x + x.argmax(-1, keepdim=True), True),
        (lambda x: x * x.sum().item(), True),
        (lambda x: x + torch.rand_like(x), True),
        (lambda x: x.clamp(max=1), True),
    ],
)
def test_what_chooses_by_its_values_is_asked_more_than_once(mix: Callable[[Tensor], Tensor], chooses: bool) -> None:
    class Mixes(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return mix(x)

    found = recover(Mixes(), lambda: (torch.randn(1, 8, 4),), heads=1, trials=3)
    assert found.trials == (3 if chooses else 1)
