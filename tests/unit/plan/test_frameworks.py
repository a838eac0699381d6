"""Frameworks' formulas: each right where it is right (a dense model, n to infinity), and as far off as is known."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from attnprof.models.lookup import model_named
from attnprof.plan.framework_audit import exact_figures, framework_rows

DENSE = "hf:llama3_8b"
# Each formula's core on a dense causal model, n large; the whole model's where the core is left away.
LIMIT = {
    "PaLM, nanoGPT": 2.0,
    "torchtitan": 2.0,
    "torchtitan, later": 2.0,
    "Megatron-LM": 1.0,
    "Megatron-Bridge": 1.0,
    "OLMo-core": 2.0,
    "NeMo": 1.0,
    "Transformers Trainer": 0.0,
    "vLLM metrics": 2.0,
}
# Ratios of the core at 8,192 and 131,072.
CORES = {
    ("gpt_oss_20b", "torchtitan"): (3.88, 3.99),
    ("gemma3_27b", "torchtitan"): (5.59, 11.47),
    ("gpt_oss_20b", "Megatron-LM"): (1.94, 2.00),
    ("gemma3_27b", "Megatron-LM"): (2.79, 5.74),
    ("gpt_oss_20b", "Megatron-Bridge"): (1.00, 1.00),
    ("gpt_oss_20b", "NeMo"): (1.00, 1.00),
    ("gpt_oss_20b", "OLMo-core"): (1.97, 2.00),
    ("gemma3_27b", "OLMo-core"): (1.49, 1.93),
    ("gemma3_27b", "PaLM, nanoGPT"): (5.59, 11.47),
    ("mixtral_8x7b", "NeMo"): (2.00, 2.00),
}
# Ratios of the whole model.
TOTALS = {
    ("gpt_oss_20b", 8192, "PaLM, nanoGPT"): 5.60,
    ("gpt_oss_20b", 8192, "Transformers Trainer"): 5.06,
    ("gemma3_27b", 131072, "Transformers Trainer"): 0.78,
    ("qwen3_next", 8192, "Transformers Trainer"): 19.7,
}


def rows(name: str, n: int) -> dict[str, tuple[float | None, float | None, tuple[str, ...]]]:
    model = model_named(f"hf:{name.removeprefix('hf:')}").architecture
    return {
        row.estimate.source.name: (row.core_ratio, row.total_ratio, row.estimate.reasons)
        for row in framework_rows(model, n)
    }


@pytest.mark.parametrize("name", LIMIT)
def test_on_a_dense_model_the_core_tends_to_its_convention(name: str) -> None:
    found = rows(DENSE, 1 << 30)[name][0]
    assert found == pytest.approx(LIMIT[name], abs=1e-6)


@pytest.mark.parametrize(("model", "framework"), CORES)
def test_the_core_is_off_by_what_is_known(model: str, framework: str) -> None:
    found = [rows(model, n)[framework][0] for n in (8192, 131072)]
    assert [round(ratio or 0, 2) for ratio in found] == list(CORES[model, framework])


@pytest.mark.parametrize(("model", "n", "framework"), TOTALS)
def test_the_whole_model_is_off_by_what_is_known(model: str, n: int, framework: str) -> None:
    ratio = rows(model, n)[framework][1]
    assert ratio == pytest.approx(TOTALS[model, n, framework], rel=5e-3)


@pytest.mark.parametrize(
    ("model", "short", "long"),
    [("gpt_oss_20b", 24.134, 60.3733), ("gemma3_27b", 166.515, 196.867), ("qwen3_next", 24.1373, 60.3761)],
)
def test_exact_training_costs_what_was_published(model: str, short: float, long: float) -> None:
    found = [exact_figures(model_named(f"hf:{model}").architecture, n).trained for n in (8192, 131072)]
    assert [float(figures.total) / 1e9 for figures in found] == pytest.approx([short, long], rel=3e-6)
    if model == "gpt_oss_20b":
        assert round(found[0].core) == 2_491_126_272


@pytest.mark.parametrize(
    "model", ["gpt_oss_20b", "gemma3_27b", "llama4_scout", "qwen3_next", "deepseek_v3_2", "jamba_v0_1"]
)
def test_whoever_is_off_says_why(model: str) -> None:
    for framework, (core, total, reasons) in rows(model, 8192).items():
        close = core is not None and abs(core - 1) < 1e-3 and (total is None or abs(total - 1) < 1e-3)
        assert reasons or close, framework


def test_gated_delta_rules_are_counted_with_8_for_6() -> None:
    """Qwen3-Next's d_k is its d_v: 8·d_v² for 6·d_k·d_v, which is 4/3 of the recurrence."""
    from attnprof.plan.frameworks.megatron_lm import gated_delta

    model = model_named("hf:qwen3_next").architecture
    (mixer,) = {mixer for layer in model for mixer in layer.recurrences}
    state, _ = gated_delta(mixer, model.dim)
    assert state * 3 == 3 * mixer.flops * 4


def test_the_published_table_is_what_the_formulas_say() -> None:
    root = Path(__file__).parents[3]
    spec = importlib.util.spec_from_file_location("framework_table", root / "tests/bench/framework_table.py")
    assert spec is not None
    assert spec.loader is not None
    written = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(written)
    assert (root / "docs/frameworks.md").read_text() == written.page()
