"""A stack on the page of models: the parts of its cost add up to what the whole stack is counted to take."""

from __future__ import annotations

from functools import cache

import pytest

from attnprof.layered_target import LayeredTarget
from attnprof.plan.count_service import CountService, CountTask
from attnprof.render.claims import of_models
from attnprof.render.claims.told import plain, said
from attnprof.render.model_page import model_page
from attnprof.render.subjects.layered_model import PASS_OF, layered_model, layered_tasks
from attnprof.render.subjects.model_subject import CostPart, ModelSubject, PageAsk
from attnprof.targets import door

SIZES = "dim=64 heads=4 kv_heads=2 causal=true vocab=100"
EXPERTS = "ffn=moe width=32 experts=8 active=2"
TEXT = f"2 sliding_window window=16 + 1 dense {EXPERTS} + 1 dense shares_kv=true ; layers=8 {SIZES}"
ASK = PageAsk(lengths=(64, 256), memory=10**9)


@cache
def stack() -> LayeredTarget:
    found = door.find(TEXT)
    assert isinstance(found, LayeredTarget)
    return found


@cache
def subject() -> ModelSubject:
    return layered_model(stack(), ASK, CountService())


@pytest.mark.parametrize("pass_", [*PASS_OF])
def test_parts_add_up_to_the_whole_stack_built_once(pass_: str) -> None:
    for n in ASK.lengths:
        task = layered_tasks(stack(), ASK)[pass_, n]
        cost = CountTask("row", stack(), task.shape, PASS_OF[pass_]).count()["cost"]
        work = subject().work[pass_, n]
        assert work.total == cost["flops_executed"] - cost["flops_core_executed"] + cost["flops_core_useful"]
        assert work.parts[CostPart.CORE] == cost["flops_core_useful"]
        assert work.tokens == (1 if pass_ == "decode" else n)
        assert subject().kept[n].bytes == cost["state_bytes"]
        assert subject().params == cost["param_bytes"] // 2


def test_a_recurrence_is_counted_token_by_token() -> None:
    found = door.find("1 gated_deltanet + 1 dense ; layers=2 dim=64 heads=4 causal=true")
    assert isinstance(found, LayeredTarget)
    made = layered_model(found, PageAsk(lengths=(64,), memory=10**9), CountService())
    task = layered_tasks(found, PageAsk(lengths=(64,), memory=10**9))["prefill", 64]
    row = CountTask("row", found, task.shape, PASS_OF["prefill"]).count()["cost"]
    assert made.work["prefill", 64].parts[CostPart.RECURRENCE] == row["recurrence_flops"]
    told = plain(said(of_models.seen(made)))
    assert told.startswith("At n = 64 a token sees everything before it after the first layer, through a state of")


def test_layers_experts_and_shared_keys_are_told() -> None:
    found = subject()
    assert found.label == "2 (2 sliding_window + 2 dense)"
    told = plain(said(of_models.made_of(found)))
    assert told.startswith(
        "8 layers: 2 × (2 sliding_window window=16 + dense with experts + dense shares_kv=true (no keys of its own))."
    )
    assert found.active == found.params - 2 * (8 - 2) * 3 * 64 * 32
    assert [kind.strip.shares_kv for kind in found.kinds] == [False, False, True]
    assert (
        plain(said(of_models.seen(found)))
        == "At n = 256 a token sees 16 tokens after the first layer, everything after layer 3."
    )


def test_what_a_stack_has_not_is_said_on_its_page() -> None:
    page = model_page([subject()], {"memory": "1 GB", "weights": "bfloat16"})
    assert "formulas are read from a model&#39;s config, which a stack has none of" in page
    assert "what engines allocate is read from a model" in page
    assert "counts what fits, one pass at a time" in page
