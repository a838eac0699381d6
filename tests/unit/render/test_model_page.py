"""The page of models: what it says is what the commands answer, to the unit, and no more than that."""

from __future__ import annotations

import csv
import dataclasses
import html
import io
import json
import re
from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attnprof.errors import AttnprofError
from attnprof.models.caches import CacheAsk
from attnprof.models.lookup import model_named
from attnprof.models.reached import SeenTokens
from attnprof.plan.model_cost import ModelAsk, cost_of_model
from attnprof.plan.model_limit import frameworks_of_model, limit_of_model
from attnprof.render.claims import of_models
from attnprof.render.claims.fact import Claim
from attnprof.render.claims.told import plain, said
from attnprof.render.layout.curves import PanelBox
from attnprof.render.layout.display import Display, Role
from attnprof.render.layout.layer_strip import StripKind, folded, layer_strip
from attnprof.render.layout.stacked_bars import StackedPart, stacked
from attnprof.render.model_page import model_page, usual
from attnprof.render.pages.model_cells import cells, state_of_cell
from attnprof.render.pages.model_figures import ModelFigures
from attnprof.render.palette import hues
from attnprof.render.subjects.configured_model import configured_model
from attnprof.render.subjects.model_subject import (
    PASSES,
    CostPart,
    FfnPassing,
    ModelSubject,
    PageAsk,
    PassWork,
    distinguished_subjects,
)
from tests.unit.render.test_layout import collisions

NAMES = ("hf:gpt_oss_20b", "hf:gemma3_27b", "hf:deepseek_v3_2", "hf:qwen3_next", "hf:falcon_h1")
LENGTHS = (8192, 131072)
ASK = PageAsk(lengths=LENGTHS, memory=80 * 2**30)
HEADER = {"memory": "80.0 GiB", "weights": "bfloat16", "caches": "bfloat16"}


@cache
def subject(name: str) -> ModelSubject:
    return configured_model(model_named(name), ASK)


@cache
def page() -> str:
    return model_page([subject(name) for name in NAMES], HEADER)


def data() -> dict[str, Any]:
    (found,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page())
    return json.loads(found)


def table(name: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(data()["csv"][name])))


def words(claim: Claim) -> str:
    return plain(said(claim))


@pytest.mark.parametrize("name", NAMES)
def test_the_page_holds_the_figures_of_cost_to_the_unit(name: str) -> None:
    answer = cost_of_model(model_named(name), ModelAsk(lengths=LENGTHS))
    held = {(r["pass"], int(r["n"]), r["part"]): int(r["flops"]) for r in table("cost") if r["model"] == name}
    for entry in answer["flops"]:
        at, total = (entry["pass"], entry["n"]), entry["total"]
        assert held[(*at, "total")] == total["flops_active"]
        assert held[(*at, "core")] == total["core_flops_useful"]
        assert held[(*at, "FFN")] == total["ffn_flops_active"]
        assert held.get((*at, "selection"), 0) == total["index_flops"]
        assert held.get((*at, "recurrence"), 0) == total["recurrence_flops"]
        assert (
            sum(v for (*where, part), v in held.items() if tuple(where) == at and part != "total")
            == held[(*at, "total")]
        )
    kept = {(int(r["n"]), r["allocated_by"]): r["bytes"] for r in table("kept") if r["model"] == name}
    for entry in answer["caches"]:
        assert int(kept[entry["n"], "exact"]) == entry["total"]["kv_bytes"] + entry["total"]["state_bytes"]
        for engine, found in entry["engines"].items():
            assert kept[entry["n"], engine] == ("" if found["bytes"] is None else str(found["bytes"]))


@pytest.mark.parametrize("name", NAMES)
def test_the_page_holds_the_figures_of_audit_and_limit_to_the_unit(name: str) -> None:
    audited = frameworks_of_model(model_named(name), LENGTHS)
    held = {(int(r["n"]), r["framework"], r["pass"]): r for r in table("frameworks") if r["model"] == name}
    for entry in audited["lengths"]:
        for row in entry["frameworks"]:
            mine = held[entry["n"], row["name"], row["pass"]]
            assert mine["core_flops_a_token"] == ("" if row["core_flops"] is None else str(row["core_flops"]))
            assert mine["over_exact"] == ("" if row["ratio"] is None else str(row["ratio"]))
    told = words(of_models.fitting(subject(name), "80.0 GiB", "bfloat16"))
    ask = CacheAsk(n=1)
    if name in ("hf:deepseek_v3_2", "hf:qwen3_next"):
        with pytest.raises(AttnprofError) as refused:
            limit_of_model(model_named(name), ASK.memory, LENGTHS, ask=ask, weights_dtype="bfloat16")
        assert refused.value.message in told
        return
    limit = limit_of_model(model_named(name), ASK.memory, LENGTHS, ask=ask, weights_dtype="bfloat16")
    assert f"{limit['limit']['weights_bytes']:,} bytes" in told
    for n, count in limit["limit"]["concurrency"].items():
        assert state_of_cell(cells(subject(name), LENGTHS)["sequences"], "prefill", int(n)) == f"{count:,}"


def test_published_figures_stand_on_the_page() -> None:
    found = {(r["model"], r["pass"], int(r["n"]), r["part"]): int(r["flops"]) for r in table("cost")}
    assert found["hf:gpt_oss_20b", "prefill", 131072, "core"] == 1_692_159_682_019_328
    assert found["hf:gpt_oss_20b", "decode", 8192, "core"] == 1_635_975_168
    assert found["hf:deepseek_v3_2", "prefill", 8192, "selection"] == 33_801_223_274_496
    kept = {(r["model"], int(r["n"])): int(r["bytes"]) for r in table("kept") if r["allocated_by"] == "exact"}
    assert kept["hf:gemma3_27b", 131072] == 11_173_199_872
    told = words(of_models.fitting(subject("hf:gpt_oss_20b"), "80.0 GiB", "bfloat16"))
    assert "41,829,514,368 bytes" in told
    assert "n = 1,793,079" in told
    assert state_of_cell(cells(subject("hf:gpt_oss_20b"), LENGTHS)["sequences"], "prefill", 131072) == "13"


@pytest.mark.parametrize(
    ("name", "layers", "passes"),
    [
        ("hf:gpt_oss_20b", "24 layers: 12 × (window 128 + full).", "from n = 48,389 on"),
        ("hf:gemma3_27b", "62 layers: 10 × (5 window 1024 + full), then 2 window 1024.", "from n = 514,327 on"),
        ("hf:deepseek_v3_2", "61 layers: 3 top 2048, then 58 top 2048 with experts.", "between n = 8k and 128k"),
        ("hf:qwen3_next", "48 layers: 12 × (3 gated_deltanet + full).", "from n = 33,665 on"),
    ],
)
def test_layers_and_where_attention_passes_the_ffn_are_told(name: str, layers: str, passes: str) -> None:
    assert words(of_models.made_of(subject(name))).startswith(layers)
    assert passes in words(of_models.passing(subject(name), "prefill"))
    assert html.escape(layers) in re.sub(r"</?b>", "", page())


def test_a_selection_is_told_apart_from_what_it_chooses_for() -> None:
    told = words(of_models.passing(subject("hf:deepseek_v3_2"), "prefill"))
    assert "without the choice of keys less than FFN and router up to n = 128k, the longest asked" in told


def test_reach_through_a_state_is_no_direct_reach() -> None:
    told = words(of_models.seen(subject("hf:qwen3_next")))
    assert "after the first layer, through a state of 524,288 numbers; directly after layer 4" in told
    told = words(of_models.seen(subject("hf:gpt_oss_20b")))
    assert told == "A token sees 128 tokens after the first layer, everything after layer 2."


def made(work: dict[tuple[str, int], PassWork], **more: Any) -> ModelSubject:
    return ModelSubject(name="x", source="", short="x", kinds=(), work=work, kept={}, **more)


def spent_on(core: int, ffn: int) -> PassWork:
    return PassWork(1, {CostPart.CORE: core, CostPart.FFN: ffn, CostPart.ROUTER: 1})


@pytest.mark.parametrize(
    ("cores", "found", "told"),
    [
        ((1, 2), FfnPassing(low=2048), "less than FFN and router up to n = 2k, the longest asked"),
        ((1, 11), FfnPassing(low=1024, high=2048), "from between n = 1k and 2k on"),
        ((12, 24), FfnPassing(high=1024), "at n = 1k already, the shortest asked"),
    ],
)
def test_a_passing_is_bracketed_by_what_was_asked(cores: tuple[int, int], found: FfnPassing, told: str) -> None:
    work = {("decode", n): spent_on(core, 10) for n, core in zip((1024, 2048), cores, strict=True)}
    assert made(work).passing("decode") == found
    assert told in words(of_models.passing(made(work), "decode"))


def test_a_model_without_ffn_passes_nothing() -> None:
    assert "No FFN" in words(of_models.passing(made({("train", 8): spent_on(3, 0)}), "train"))


def test_what_is_missing_is_said_with_its_reason() -> None:
    lame = made({}, reasons={"decode": "a layer has no decoding", "engines": "no config", "seen": "no pattern"})
    assert "no FLOPs: a layer has no decoding" in words(of_models.spent(lame, "decode", 1024))
    assert words(of_models.seen(lame)) == "How far a token sees is not known: no pattern."
    assert words(of_models.allocated(lame, 1024)) == "What is kept is not known."
    executed = dataclasses.replace(spent_on(3, 4), executed=frozenset({CostPart.CORE}))
    told = words(of_models.spent(made({("train", 8): executed}), "train", 8))
    assert "core as executed: what is useful of it is not known" in told


def test_all_of_one_length_is_not_all_of_any() -> None:
    seen = made({}, seen=(SeenTokens(16), SeenTokens(None)), seen_at=8192)
    told = words(of_models.seen(seen))
    assert told == "At n = 8k a token sees 16 tokens after the first layer, everything after layer 2."


def test_equal_names_are_numbered() -> None:
    both = distinguished_subjects([made({}), made({}), dataclasses.replace(made({}), short="y")])
    assert [s.label for s in both] == ["x #1", "x #2", "y"]


def test_the_same_models_give_the_same_bytes() -> None:
    again = [configured_model(model_named(name), ASK) for name in NAMES]
    assert model_page(again, HEADER) == page()


def test_nothing_is_loaded_and_no_name_breaks_out() -> None:
    assert not re.findall(r'(?:src|href)="(?!#)', page())
    bad = dataclasses.replace(subject("hf:gpt_oss_20b"), short="</script><img src=x onerror=y>", name="<b>\ue000")
    written = model_page([bad], HEADER)
    assert "<img" not in written
    assert written.count("</script>") == 2


def test_cells_of_every_state_are_in_the_page() -> None:
    held = data()
    for k, name in enumerate(NAMES):
        assert held["names"][k] == subject(name).label
        for pass_ in PASSES:
            for n in LENGTHS:
                for key, cell in held["cells"][k].items():
                    assert cell.keys() & {f"{pass_}/{n}", f"/{n}", f"{pass_}/"}, (name, key, pass_, n)


def test_without_a_model_there_is_no_page() -> None:
    with pytest.raises(AttnprofError, match="needs one"):
        model_page([], HEADER)
    assert usual((1024, 2**20)) == 1024
    assert usual((2**20,)) == 2**20


@given(st.lists(st.integers(0, 3), min_size=1, max_size=80))
def test_folding_loses_no_layer(order: list[int]) -> None:
    assert [kind for run in folded(order) for kind in run.layers * run.times] == order


@pytest.mark.parametrize("count", [24, 62, 126, 1000])
@pytest.mark.parametrize("width", [1180.0, 358.0])
def test_a_strip_has_a_cell_for_each_layer_or_each_fold(count: int, width: float) -> None:
    kinds = [
        StripKind("window 128", ("window",), "4 of 32"),
        StripKind("window 512", ("window",), "4 of 32"),
        StripKind("full", ("exact", "recurrence"), shares_kv=True),
    ]
    order = [(0, 0, 1, 2)[k % 4] for k in range(count)]
    drawn = layer_strip("strip", kinds, order, hues(0), width)
    assert collisions(drawn.texts) == []
    assert _inside(drawn)
    experts = [s for s in drawn.strokes if s.role is Role.AREA and s.series == hues(0)["global"].index]
    folds = [run.layers if run.times > 1 else [kind for _, kind in run.period] for run in folded(order)]
    shown = order if width / count >= 5 else [kind for fold in folds for kind in fold]
    assert len(experts) == sum(1 for kind in shown if kind != 2) + 1  # and the one of the legend


def test_bars_are_as_high_as_their_parts() -> None:
    parts = [StackedPart("a", hues(0)["exact"], [1.0, 3.0]), StackedPart("b", hues(0)["window"], [3.0, 1.0])]
    drawn = stacked("", parts, (1024, 2048), ["4", "4"], "", PanelBox())
    bars = [s for s in drawn.strokes if s.role is Role.AREA]
    high = [s.places[0][1] - s.places[2][1] for s in bars]
    whole = drawn.y.at(0) - drawn.y.at(1)
    assert high == pytest.approx([whole / 4, whole * 3 / 4, whole * 3 / 4, whole / 4], abs=0.2)


def test_no_figure_of_the_page_overlaps_or_runs_out() -> None:
    figures = ModelFigures([subject(name) for name in NAMES], LENGTHS, 131072)
    made_of = [d for name in NAMES for d in figures.strip(subject(name))]
    parts = [figures.parts(subject(n), p, shares=s) for n in NAMES for p in PASSES for s in (True, False)]
    frames = [d for p in PASSES for d in figures.share(p)]
    for drawn in [*made_of, *parts, *frames, *figures.kept_all(), *figures.reach()]:
        assert drawn is not None
        assert collisions(drawn.texts, (1.0, 2.0)) == [], drawn.title
        assert _inside(drawn), drawn.title
        assert len(drawn.title) > 40


def _inside(drawn: Display) -> bool:
    boxes = [t.box for t in drawn.texts]
    return all(b[0] >= -3 and b[2] <= drawn.width + 3 and b[1] >= -3 and b[3] <= drawn.height + 3 for b in boxes)


def test_shares_rise_from_nothing_against_lengths_that_double_at_even_steps() -> None:
    wide, _ = ModelFigures([subject(NAMES[0])], (1024, 2048, 4096), 2048).share("prefill")
    assert wide.y.at(0.0) == wide.y.start
    assert wide.x.at(2048) - wide.x.at(1024) == pytest.approx(wide.x.at(4096) - wide.x.at(2048))
