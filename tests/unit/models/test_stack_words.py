"""A model as a stack of the catalogue's schemes: the text is read back as the same layers."""

from __future__ import annotations

import pytest

from attnprof.errors import AttnprofError
from attnprof.models.architecture import Architecture
from attnprof.models.lookup import model_named, public_models
from attnprof.models.reached import seen_after
from attnprof.models.readers import READERS
from attnprof.models.stack_words import STATES, stack_text
from attnprof.targets import door
from attnprof.targets.stack_text import parse_stack

NEEDS = {
    "deepseek_v2": ":num_experts_per_tok=6",
    "hunyuan_v1_moe": ":num_local_experts=4,moe_topk=2",
    "dots1": ":n_routed_experts=128,num_experts_per_tok=6,n_shared_experts=2",
}
MODELS = [f"hf:{name}{NEEDS.get(name, '')}" for name in READERS] + [f"hf:{name}" for name in public_models()]


def drawable(model: Architecture) -> bool:
    """Whether each layer is one mixer at most, that reads a rule of positions or keeps a state of the catalogue's."""
    kinds = {mixer.kind for layer in model for mixer in layer.recurrences}
    chosen = any(mixer.indexer or mixer.compression for layer in model for mixer in layer.softmaxes)
    return kinds <= set(STATES) and not chosen and all(len(layer.mixers) <= 1 for layer in model)


@pytest.mark.parametrize("text", MODELS)
def test_a_stack_has_the_layers_of_its_model(text: str) -> None:
    model = model_named(text).architecture
    if not drawable(model):
        with pytest.raises(AttnprofError, match="the catalogue has no scheme") as error:
            stack_text(model)
        assert f"attnprof cost {text}" in error.value.hint
        return
    stack = parse_stack(stack_text(model))
    period = sum(count for count, _ in stack.groups)
    assert stack.settings.get("layers", period) == len(model.layers)
    assert stack.settings["dim"] == model.dim


@pytest.mark.parametrize("name", ["gpt_oss_20b", "gemma3_27b", "llama4_scout", "qwen3_next", "nemotron_h"])
def test_the_door_knows_models(name: str) -> None:
    target = door.find(f"hf:{name}")
    assert target.name == f"hf:{name}"


def test_what_is_seen_grows_by_windows_until_a_full_layer() -> None:
    seen = {name: [str(s) for s in seen_after(model_named(f"hf:{name}").architecture)] for name in FIGURES}
    for name, (first, last_bounded, whole) in FIGURES.items():
        assert seen[name][0] == first
        assert seen[name][whole - 2] == last_bounded
        assert seen[name][whole - 1] == "all"


# After the first layer, after the last one before a full one, and which is the first full one.
FIGURES = {
    "gpt_oss_20b": ("128", "128", 2),
    "gemma3_27b": ("1,024", "5,116", 6),
    "llama4_scout": ("at most 8,192", "at most 8,192", 4),
}


def test_a_state_is_a_bottleneck_of_so_many_numbers() -> None:
    seen = seen_after(model_named("hf:qwen3_next").architecture)
    assert str(seen[0]) == f"all, through a state of {32 * 128 * 128:,} numbers"
    assert str(seen[3]) == "all"
