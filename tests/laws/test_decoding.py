"""Token by token, a causal scheme says what its full forward says."""

from __future__ import annotations

import pytest
import torch
from torch.utils import _pytree as pytree

from attnprof.contracts import Continues
from attnprof.counting import count
from attnprof.errors import Unsupported
from attnprof.layers.attention import Attention
from attnprof.shapes import Shape
from attnprof.targets import catalog, door
from tests.laws.cases import Case, as_params, built, cases, recurrent

# What a step executes is what its edges need; of other schemes it is more (absorbed matrices, whole blocks).
EXACT = ("dense", "dilated_window", "flash", "linear", "performer", "sinks", "sliding_window", "transformer_xl")


def decodes(case: Case) -> bool:
    """Whether a scheme's layer goes on token by token, seen and not claimed."""
    module = case.target.build(case.shape(8))
    try:
        module.prefill(torch.zeros(2, 1, 16, dtype=torch.float64))  # type: ignore[operator]
    except (AttributeError, Unsupported):
        return False
    return True


# A cache that drops tokens gives other rows than the forward, and says so among its leaks.
DECODING = [case for case in cases() if case.causal and not case.target.card.leaks and decodes(case)]
CASES = as_params(DECODING)
NAMES = sorted({case.name for case in DECODING})
# Queries that a head of LongNet leaves out are there nevertheless.
LAST_ROWS = {name for name in NAMES if catalog.entry(name).card.dead_queries} - {"longnet"}
SHARING = [name for name in NAMES if catalog.entry(name).card.kv_heads]


def test_what_decoded_before_still_does() -> None:
    written = "dense dilated_window flash linear luna performer rfa sinks sliding_window synthesizer transformer_xl"
    assert set(written.split()) <= set(NAMES)


@pytest.mark.parametrize("known", [0, 16, 76])
@pytest.mark.parametrize("case", CASES)
def test_each_step_gives_the_row_of_the_full_forward(case: Case, known: int) -> None:
    module, _, (x,) = built(case, case.shape(100))
    assert isinstance(module, Continues)
    with torch.no_grad():
        full = module(x)
        state = module.prefill(x[:, :known])
        for at in range(known, known + 24):
            row, state = module.step(x[:, at : at + 1], state)
            # Where the last tokens alone have a row, each is the last of its own prefix.
            wanted = module(x[:, : at + 1]) if LAST_ROWS & {case.name} else full
            torch.testing.assert_close(row, wanted[:, at : at + 1], rtol=1e-10, atol=1e-10)


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
    target = door.find("sparse_strided")
    shape = Shape(n=64, dim=16, heads=2, causal=True)
    module = target.build(shape)
    assert isinstance(module, Attention)
    with pytest.raises(Unsupported, match="token by token"):
        module.state(8)


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


@pytest.mark.parametrize("name", recurrent())
def test_a_recurrence_takes_several_tokens_at_once(name: str) -> None:
    """As a draft of three that is verified; and the state then is the one of all of them."""
    case = Case(name, True)
    module, _, (x,) = built(case, case.shape(40))
    assert isinstance(module, Continues)
    with torch.no_grad():
        rows, state = module.step(x[:, 30:33], module.prefill(x[:, :30]))
        last, _ = module.step(x[:, 33:34], state)
        whole = module(x)
    torch.testing.assert_close(rows, whole[:, 30:33], rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(last, whole[:, 33:34], rtol=1e-10, atol=1e-10)
