"""Writes `docs/frameworks.md`: every framework's formula on a dozen public models, and why it is off where it is.

    python tests/bench/framework_table.py > docs/frameworks.md

`tests/unit/models/test_frameworks.py` holds the file against the formulas.
"""

from __future__ import annotations

from collections.abc import Iterator

from attnprof.models.lookup import model_named, public_models
from attnprof.plan.framework_audit import FrameworkRow, exact_figures, framework_rows
from attnprof.units import format_count, format_length

MODELS = (
    "llama3_8b",
    "qwen2_5_7b",
    "mixtral_8x7b",
    "gpt_oss_20b",
    "gemma3_27b",
    "llama4_scout",
    "mistral_7b",
    "qwen3_next_80b",
    "deepseek_v3_671b",
    "deepseek_v3_2",
    "kimi_linear_48b",
    "jamba_v0_1",
    "lfm2_1_2b",
    "nemotron_h",
)
LENGTHS = (8192, 131072)
HEAD = """# What frameworks' formulas say

FLOPs of a training step a token, by the formula of each framework, over the exact figure (`attnprof audit hf:MODEL
--frameworks`). The core is attention alone, the model everything. 1.00 is right. `-`: the formula has no answer for the
model. vLLM's metrics are of a prefill in one chunk, against the exact forward. Sources: the docstring of each file in
`attnprof/plan/frameworks/`. Written by `tests/bench/framework_table.py`."""


def page() -> str:
    """The whole file."""
    return "\n".join([HEAD, *(line for n in LENGTHS for line in _tables(n)), *_reasons()]) + "\n"


def _rows(name: str, n: int) -> list[FrameworkRow]:
    return framework_rows(model_named(f"hf:{name}").architecture, n)


def _tables(n: int) -> Iterator[str]:
    names = [row.estimate.source.name for row in _rows(MODELS[0], n)]
    for what, of in (("The core", 0), ("The model", 1)):
        yield f"\n## {what} at n = {format_length(n)}\n"
        yield "| model | exact, a token | " + " | ".join(names) + " |"
        yield "|---|---:|" + "---:|" * len(names)
        for name in MODELS:
            model = model_named(f"hf:{name}").architecture
            exact = exact_figures(model, n).trained
            ratios = [(row.core_ratio, row.total_ratio)[of] for row in _rows(name, n)]
            cells = " | ".join("-" if ratio is None else f"{ratio:.2f}" for ratio in ratios)
            yield f"| {_title(name)} | {format_count(float((exact.core, exact.total)[of]))} | {cells} |"


def _reasons() -> Iterator[str]:
    """Which models each reason is true of."""
    found: dict[str, dict[str, list[str]]] = {}
    for name in MODELS:
        for row in _rows(name, LENGTHS[0]):
            for why in row.estimate.reasons:
                found.setdefault(row.estimate.source.name, {}).setdefault(why, []).append(_title(name))
    yield "\n## Why"
    for row in _rows(MODELS[0], LENGTHS[0]):
        source = row.estimate.source
        yield f"\n**{source.name}** ({source.line} at {source.commit})\n"
        for why, models in found.get(source.name, {}).items():
            of = "all" if len(models) == len(MODELS) else ", ".join(models)
            yield f"- {why}: {of}"


def _title(name: str) -> str:
    facts = public_models().get(name)
    return facts["title"] if facts else f"{name} (class defaults)"


if __name__ == "__main__":
    print(page(), end="")
