"""Token by token, a causal scheme says what its full forward says."""

from __future__ import annotations

import re

import pytest
import torch
from torch import nn
from torch.utils import _pytree as pytree

from attnprof.contracts import Continues
from attnprof.counting import count
from attnprof.errors import Unsupported
from attnprof.layers.attention import Attention
from attnprof.shapes import Shape
from attnprof.targets import catalog, door
from tests.laws.cases import Case, as_params, built, cases, executable, recurrent

# What a step executes is what its edges need; of other schemes it is more (absorbed matrices, whole blocks).
EXACT = ("dense", "dilated_window", "flash", "linear", "performer", "sinks", "sliding_window", "transformer_xl")


# Whatever goes forward, a pattern decodes by one code: the first implementation stands for all.
CAUSAL = list({(case.name, str(case.params)): case for case in reversed(cases()) if case.causal}.values())[::-1]
# A cache that drops tokens gives other rows than the forward, and says so among its leaks.
DECODING = [case for case in CAUSAL if case.target.card.decode and not case.target.card.leaks]
CASES = as_params(DECODING, further=False)
NAMES = sorted({case.name for case in DECODING})
# Queries that a head of LongNet leaves out, or that read a null slot, are there nevertheless.
LAST_ROWS = {"perceiver_ar"}
SHARING = [name for name in NAMES if catalog.entry(name).card.kv_heads]


def test_a_causal_scheme_decodes_or_says_why_it_cannot() -> None:
    found = {case.name: case for case in CAUSAL}
    kept = {name: case for name, case in found.items() if catalog.card(name).decode}
    assert all(isinstance(case.target.build(case.shape(8)), Continues) for case in kept.values())
    for name in set(found) - set(kept):
        with pytest.raises(Unsupported, match=re.escape(catalog.card(name).undecoded)):
            count(door.find(name), Shape(64, dim=16, heads=2, causal=True), "decode")
    assert len(kept) >= 50


@pytest.mark.parametrize("case", CASES)
def test_each_step_gives_the_row_of_the_full_forward_and_several_tokens_are_so_many_steps(case: Case) -> None:
    """From nothing, from within and from the end of a block; drafts of three, of eight and of all the rest."""
    module, _, (x,) = built(case, case.shape(100))
    assert isinstance(module, Continues)
    with torch.no_grad():
        full = module(x)
        for known, tokens, steps in (
            (0, 1, 12),
            (16, 1, 24),
            (76, 1, 24),
            (0, 3, 6),
            (30, 3, 5),
            (63, 8, 4),
            (90, 10, 1),
        ):
            state = module.prefill(x[:, :known])
            for at in range(known, known + tokens * steps, tokens):
                rows, state = module.step(x[:, at : at + tokens], state)
                torch.testing.assert_close(rows, wanted(case, module, x, full, at, tokens), rtol=1e-10, atol=1e-10)


def wanted(case: Case, module: nn.Module, x: torch.Tensor, full: torch.Tensor, at: int, tokens: int) -> torch.Tensor:
    """Rows of the forward; where the last tokens alone have one, each is the last of its own prefix."""
    if case.name not in LAST_ROWS:
        return full[:, at : at + tokens]
    return torch.cat([module(x[:, : last + 1])[:, last:] for last in range(at, at + tokens)], 1)


@pytest.mark.parametrize("name", [name for name in executable() if catalog.card(name).decode])
def test_a_draft_is_one_pass_that_reads_the_state_once(name: str) -> None:
    """Of four tokens: at least four times the work of one, and of what is kept no byte twice but what layers share."""
    case = Case(name, True)
    shape = case.shape(100, "float32", dim=32)
    one, four = (count(case.target, shape.replace(drafts=drafts), "decode").cost for drafts in (1, 4))
    assert 0 < 4 * one.flops_core_executed <= four.flops_core_executed
    assert one.decode_read_bytes <= four.decode_read_bytes <= case.target.layers * one.state_bytes
    assert one.state_bytes == four.state_bytes
    if case.target.resolve(100) != case.target.resolve(103):
        return  # a parameter is cut to n: the tokens one by one are those of other schemes
    alone = [count(case.target, shape.replace(n=n), "decode").cost for n in range(100, 104)]
    for figure in ("flops_core_useful", "recurrence_flops"):
        if getattr(four, figure) is not None:
            assert getattr(four, figure) == sum(getattr(cost, figure) for cost in alone), figure


@pytest.mark.parametrize("case", CASES)
def test_a_state_of_n_tokens_is_as_large_as_the_one_that_n_tokens_leave(case: Case) -> None:
    module, _, (x,) = built(case, case.shape(100))
    assert isinstance(module, Continues)
    with torch.no_grad():
        for n in (1, 17, 40, 100):
            drawn, left = module.state(n), module.prefill(x[:, :n])
            assert sizes(drawn) == sizes(left)


def sizes(state: object) -> list[torch.Size]:
    """Shapes of the tensors of a state, in order."""
    return [t.shape for t in pytree.tree_leaves(state) if isinstance(t, torch.Tensor)]


@pytest.mark.parametrize("heads", [1, 2, 4])
@pytest.mark.parametrize("name", SHARING)
def test_fewer_kv_heads_decode_as_they_run_forward_with_a_smaller_state(name: str, heads: int) -> None:
    case = Case(name, True)
    module, _, (x,) = built(case, case.shape(40, dim=32, heads=4, kv_heads=heads))
    assert isinstance(module, Continues)
    with torch.no_grad():
        left = module.prefill(x[:, :39])
        assert sizes(left) == sizes(module.state(39))
        row, _ = module.step(x[:, 39:], left)
        torch.testing.assert_close(row, module(x)[:, 39:], rtol=1e-10, atol=1e-10)
    shape = case.shape(40, "float32", dim=32, heads=4)
    few, all_ = (count(case.target, shape.replace(kv_heads=g), "decode").cost.state_bytes for g in (heads, 4))
    assert few is not None
    assert all_ is not None
    # Positions of transformer_xl and gates of fox are of query heads, index keys of dsa of all of them.
    assert few == all_ * heads // 4 if name not in ("transformer_xl", "fox", "dsa") else few <= all_


def test_the_useful_work_of_a_step_is_that_of_the_token_after_n() -> None:
    """All that a step executes is useful: content, values, and relative positions where there are any."""
    for name in EXACT:
        for n in (1, 100, 511, 512, 513, 1000, 1024):
            cost = count(door.find(name), Shape(n, dim=64, heads=2, causal=True), "decode").cost
            if cost.flops_core_useful is None:
                assert door.find(name).pattern(Shape(n, dim=64, heads=2, causal=True)) is None, name
                continue
            assert cost.flops_core_executed is not None
            assert cost.flops_core_useful == cost.flops_core_executed, (name, n)


def test_a_memory_of_transformer_xl_holds_the_segments_before_whatever_n_was_counted() -> None:
    shape = Shape(1, dim=64, heads=2, causal=True)
    for n, keys in ((100, 101), (511, 512), (512, 513), (1023, 1024), (1024, 513)):
        cost = count(door.find("transformer_xl"), shape.replace(n=n), "decode").cost
        assert cost.flops_core_useful == 6 * 64 * keys


@pytest.mark.parametrize("n", [100, 4096])
def test_what_a_step_costs_and_a_state_holds(n: int) -> None:
    heads, width = 2, 8
    row = 2 * heads * width * 4
    expected = {
        "dense": (4 * (n + 1) * heads * width, n * row, row),
        "sliding_window": (4 * min(n + 1, 512) * heads * width, min(n, 512) * row, row if n < 512 else 0),
        "linear": (heads * (4 * width * width + 2 * width), heads * width * (width + 1) * 4, 0),
    }
    for name, (flops, state, growth) in expected.items():
        shape = Shape(n=n, dim=heads * width, heads=heads, causal=True)
        cost = count(door.find(name), shape, "decode").cost
        assert cost.flops_core_executed == flops
        assert cost.state_bytes == state
        assert cost.state_growth_bytes == growth


def test_a_scheme_without_a_step_says_so() -> None:
    shape = Shape(n=64, dim=16, heads=2)
    module = door.find("linformer").build(shape)
    assert isinstance(module, Attention)
    with pytest.raises(Unsupported, match="token by token"):
        module.state(8)
    with pytest.raises(Unsupported, match="bidirectional"):
        count(door.find("sliding_window"), shape, "decode")


EVEN = [name for name in recurrent() if Case(name, True).target.flops_step(Case(name, True).shape(8)) is not None]


def test_all_but_one_recurrence_go_on_at_the_same_cost_at_every_length() -> None:
    assert set(recurrent()) - set(EVEN) == {"log_linear"}


@pytest.mark.parametrize("name", EVEN)
def test_a_recurrence_asks_for_n_of_its_steps(name: str) -> None:
    case = Case(name, True)
    shape = case.shape(37, "float32", dim=32)
    one = case.target.flops_step(shape)
    assert one is not None
    decode, forward, train = (count(case.target, shape, pass_).cost for pass_ in ("decode", "forward", "train"))
    assert [cost.recurrence_flops for cost in (decode, forward, train)] == [one, 37 * one, 3 * 37 * one]
    assert decode.flops_core_executed == one
