"""What `hf:...` may say, and what it is told where it says something else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from attnprof.errors import AttnprofError
from attnprof.models.lookup import model_named


def test_overrides_change_what_they_name() -> None:
    model = model_named("hf:llama:num_hidden_layers=2,num_key_value_heads=4").architecture
    assert (len(model.layers), model.layers[0].softmaxes[0].kv_heads) == (2, 4)


def test_lists_are_json() -> None:
    text = 'hf:lfm2:num_hidden_layers=3,layer_types=["conv","full_attention","conv"]'
    assert [layer.title for layer in model_named(text).architecture] == ["short_conv", "full", "short_conv"]


def test_another_name_of_a_key_is_the_key() -> None:
    alias, key = (model_named(f"hf:gpt_oss:{name}=32").architecture for name in ("num_experts", "num_local_experts"))
    assert alias.layers == key.layers


def test_a_composite_is_its_language_model(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    inner = {"model_type": "gemma3_text", "hidden_size": 1152, "num_hidden_layers": 7, "sliding_window": 512}
    file.write_text(json.dumps({"model_type": "gemma3", "text_config": inner, "vision_config": {"hidden_size": 3}}))
    model = model_named(f"hf:{file}").architecture
    assert (model.model_type, model.dim, [group.count for group in model.groups]) == ("gemma3_text", 1152, [6, 1])


def test_a_config_file_may_have_keys_that_say_nothing_here(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_text(json.dumps({"model_type": "llama", "rope_theta": 1e6, "num_hidden_layers": 3, "novel": 1}))
    assert len(model_named(f"hf:{file}").architecture.layers) == 3


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("hf:gpt_os", ("unknown model 'gpt_os'", "gpt_oss")),
        ("hf:llama:hiden_size=3", ("unknown key of llama 'hiden_size'", "hidden_size")),
        ("hf:llama:hidden_size", ("is no override", "KEY=VALUE")),
        ("hf:llama:hidden_size=big", ("hidden_size of llama is 'big'", "whole number")),
        ("hf:deepseek_v2", ("no num_experts_per_tok", "hf:deepseek_v2:num_experts_per_tok")),
        ('hf:gemma2:layer_types=["full_attention"]', ("lists 1 layers", "num_hidden_layers")),
        ('hf:gemma2:num_hidden_layers=1,layer_types=["ful"]', ("has 'ful'", "full_attention")),
        ("hf:llama:num_hidden_layers=0", ("has no layers",)),
        ("hf:./none.json", ("cannot read none.json", "path of a file")),
    ],
)
def test_errors_name_what_is_wrong_and_what_is_right(text: str, pieces: tuple[str, ...]) -> None:
    with pytest.raises(AttnprofError) as error:
        model_named(text)
    assert all(piece in str(error.value) for piece in pieces), str(error.value)
