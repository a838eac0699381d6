"""Formulas equal the modules of transformers, counted on fake tensors: at small sizes that no default has.

Skipped without transformers. A few families run always; all of them, and real against fake tensors, with `-m slow`.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

pytest.importorskip("transformers")

from attnprof.models.installed import class_aliases, class_defaults
from attnprof.models.lookup import class_facts, model_named
from attnprof.models.readers import READERS
from attnprof.models.transformers_private import (
    contiguous_sequences,
    language_model_of,
    modelling_file,
    reference_path,
)
from attnprof.plan.module_check import checked_module, cut

# Small values of every key that a family may have; what a family wants besides stands below.
SMALL: dict[str, Any] = {
    "hidden_size": 64, "intermediate_size": 96, "intermediate_size_mlp": 80, "moe_intermediate_size": 24,
    "shared_expert_intermediate_size": 40, "shared_intermediate_size": 40, "moe_shared_expert_intermediate_size": 40,
    "vocab_size": 130, "vocab_size_per_layer_input": 130, "hidden_size_per_layer_input": 8, "laurel_rank": 4,
    "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16, "v_head_dim": 12, "kv_lora_rank": 20,
    "q_lora_rank": 28, "qk_nope_head_dim": 12, "qk_rope_head_dim": 8, "index_n_heads": 3, "index_head_dim": 16,
    "index_topk": 9, "num_experts": 6, "num_local_experts": 6, "n_routed_experts": 6, "num_experts_per_tok": 2,
    "num_experts_per_token": 2, "moe_topk": 2, "linear_num_key_heads": 2, "linear_num_value_heads": 4,
    "linear_key_head_dim": 8, "linear_value_head_dim": 12, "linear_num_heads": 4, "linear_head_dim": 8,
    "sliding_window": 11, "attention_window_size": 11, "attention_chunk_size": 13, "mamba_n_heads": 8,
    "n_mamba_heads": 8, "mamba_num_heads": 8, "mamba_d_head": 16, "mamba_head_dim": 16, "mamba_d_ssm": 128,
    "mamba_d_state": 10, "ssm_state_size": 10, "mamba_dt_rank": 6, "n_groups": 2, "chunk_size": 16,
    "mamba_chunk_size": 16, "block_size": 16, "lru_width": 64, "adapter_rank": 6, "o_lora_rank": 10, "o_groups": 2,
    "n_embd": 64, "n_layer": 3, "n_head": 4, "d_model": 64, "n_layers": 3, "n_heads": 4, "dim": 64, "hidden_dim": 96,
    "ffn_dim": 96, "ffn_hidden_size": 96, "embedding_size": 24, "n_positions": 77, "max_position_embeddings": 79,
    "local_attention": 16, "time_step_rank": 6, "expand": 2, "state_size": 10, "num_heads": 8,
    "n_group": 1, "topk_group": 1, "num_expert_group": 1, "pad_token_id": 0,
}  # fmt: skip
OWN: dict[str, dict[str, Any]] = {
    "deepseek_v2": {"num_experts_per_tok": 2},
    "deepseek_v3": {"num_key_value_heads": 4},
    "deepseek_v32": {"head_dim": 8, "num_key_value_heads": 4},
    "glm_moe_dsa": {"head_dim": 8, "num_key_value_heads": 4},
    "bailing_hybrid": {"num_key_value_heads": 4},
    "hy_v4": {"head_dim": 8, "num_key_value_heads": 4},
    "ministral": {"head_dim": 16},
    "hunyuan_v1_dense": {"head_dim": 16},
    "hunyuan_v1_moe": {"head_dim": 16, "moe_topk": 2},
    "deepseek_v4": {"num_key_value_heads": 1, "head_dim": 32},
    "granitemoehybrid": {"num_hidden_layers": 2, "layer_types": ["linear_attention", "full_attention"]},
    "bamba": {"attn_layer_indices": [1]},
    "lfm2": {"num_hidden_layers": 2, "layer_types": ["conv", "full_attention"]},
    "lfm2_moe": {"num_hidden_layers": 4, "layer_types": ["conv", "full_attention"] * 2},
    "kimi_linear": {"num_key_value_heads": 4},
    "nemotron_h": {"layers_block_type": ["linear_attention", "moe", "full_attention", "mlp"]},
    "falcon_h1": {"mamba_n_heads": 8, "mamba_d_head": 16},
    "recurrent_gemma": {"num_key_value_heads": 1},
    "zamba2": {"num_hidden_layers": 8, "layers_block_type": [*["linear_attention"] * 3, "hybrid"] * 2},
    "phi3": {"sliding_window": 11},
    "dots1": {"n_routed_experts": 6, "num_experts_per_tok": 2, "n_shared_experts": 1, "head_dim": 16},
    "mamba2": {"num_heads": 8, "head_dim": 16},
    "gptj": {"rotary_dim": 8},
    "nemotron": {"head_dim": 16, "num_key_value_heads": 2},
    "qwen3": {"use_sliding_window": True, "max_window_layers": 1, "num_hidden_layers": 2},
}
QUICK = ("gpt_oss", "qwen3_next", "nemotron_h", "modernbert")
# Of these transformers has no language model, or its config refuses every small size.
WITHOUT = {"mistral4"}
FAMILIES = [
    pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in READERS if name not in WITHOUT
]


def small(name: str) -> str:
    """A model of this family with small sizes: four layers, or as many as its default pattern needs."""
    facts = class_facts()[name]
    known = set(facts["defaults"])
    values = {key: value for key, value in SMALL.items() if key in known and facts["defaults"][key] is not None}
    values.update(OWN.get(name, {}))
    given = ",".join(f"{key}={json.dumps(value)}" for key, value in values.items() if key != "pad_token_id")
    return f"hf:{name}:{given}"


@pytest.mark.parametrize("name", FAMILIES)
def test_formulas_equal_the_module(name: str) -> None:
    check = checked_module(model_named(small(name)), 43)
    assert not check.uncounted
    assert check.params[0] == check.params[1]
    assert check.flops[0] == check.flops[1]
    assert check.cache_bytes[1] in (None, check.cache_bytes[0])
    assert check.formula_equals_module
    assert not check.defaults


@pytest.mark.parametrize("name", READERS)
def test_the_shipped_facts_are_those_of_the_classes(name: str) -> None:
    facts = class_facts()[name]
    assert json.loads(json.dumps(class_defaults(name))) == facts["defaults"]
    assert class_aliases(name) == facts["aliases"]


def test_a_formula_that_is_off_is_seen() -> None:
    """The law can fail: another width of the experts, and neither FLOPs nor parameters agree."""
    from dataclasses import replace

    named = model_named(small("gpt_oss"))
    other = model_named(small("gpt_oss").replace("intermediate_size=96", "intermediate_size=95"))
    check = checked_module(replace(named, architecture=other.architecture), 16)
    assert not check.formula_equals_module
    assert check.params[0] < check.params[1]
    assert check.flops[0] < check.flops[1]


def test_the_certificate_says_what_it_was_held_against() -> None:
    from attnprof.cli.model_text import certified
    from attnprof.cli.of_model import certificate

    check = certificate(model_named(small("gpt_oss")))
    assert check["formula_equals_module"] is True
    assert (check["kernels"], check["dtype"]) == ("torch reference path, eager attention", "bfloat16")
    assert certified(check).startswith("formula = module: FLOPs, parameters and cache equal those of GptOss")
    absent = certificate(model_named("hf:mistral4"))
    assert absent["formula_equals_module"] is None
    assert "was not checked" in certified(absent)


def test_what_is_patched_is_taken_back() -> None:
    import gc

    from transformers import PreTrainedModel, masking_utils
    from transformers.models.qwen3_next import modeling_qwen3_next as file

    def fails_within() -> None:
        with contiguous_sequences(), reference_path(file):
            assert masking_utils.find_packed_sequence_indices is not before[0]
            raise RuntimeError

    drawing = PreTrainedModel.initialize_weights
    checked_module(model_named(small("gpt_oss")), 16)
    assert gc.isenabled()
    assert PreTrainedModel.initialize_weights is drawing
    before = masking_utils.find_packed_sequence_indices, dict(vars(file))
    with pytest.raises(RuntimeError):
        fails_within()
    assert masking_utils.find_packed_sequence_indices is before[0]
    assert dict(vars(file)) == before[1]


def counted(name: str, *, real: bool) -> tuple[int, int]:
    """FLOPs of a forward, and of the core, with real or with fake tensors."""
    import contextlib

    import torch

    from attnprof.counting.built import _make_fake
    from attnprof.counting.counter import OperatorCounter
    from attnprof.counting.factors import FactorOrigin
    from attnprof.counting.storages import Lifetimes
    from attnprof.counting.tally import OperatorTally
    from attnprof.models.installed import config_kind
    from attnprof.torch_private import fake_mode

    named = model_named(small(name))
    config = config_kind(name)(**{"pad_token_id": 0, **named.overrides})
    decodes = named.architecture.decodes
    kind = language_model_of(config, decodes=decodes)
    OperatorCounter.calibrate()
    mode = None if real else fake_mode()
    within = contextlib.nullcontext() if mode is None else mode
    # What may be packed is asked of real values where there are some; the patch stands in for that on fake ones.
    patched = contextlib.nullcontext() if real else contiguous_sequences()
    with reference_path(modelling_file(kind)), patched:
        with within:
            module = kind._from_config(config, dtype=torch.bfloat16)
        if mode is not None:
            _make_fake(module, mode)
        if len(named.architecture.layers) > 6:
            cut(module, len(named.architecture.layers), 6)
        module.eval()
        tally = OperatorTally()
        with within, torch.no_grad():
            ids = torch.zeros(1, 32, dtype=torch.long)
            with OperatorCounter(tally, Lifetimes(), FactorOrigin(module)):
                module(input_ids=ids, **({"use_cache": False} if decodes else {}))
    return int(tally.flops), int(tally.core)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in READERS if name not in WITHOUT])
def test_fake_tensors_count_what_real_ones_do(name: str) -> None:
    assert counted(name, real=False) == counted(name, real=True)
