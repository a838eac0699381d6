"""Readers: from a configuration to the layers it means, one function a family."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from attnprof.models.architecture import Architecture
from attnprof.models.model_config import ModelConfig
from attnprof.models.readers import classic_families as classics
from attnprof.models.readers import delta_families as delta
from attnprof.models.readers import encoder_families as encoders
from attnprof.models.readers import gemmas
from attnprof.models.readers import grouped_families as groups
from attnprof.models.readers import latent_families as latents
from attnprof.models.readers import state_families as states
from attnprof.models.readers import window_families as windows

FamilyReader = Callable[[ModelConfig], Architecture]

READERS: Mapping[str, FamilyReader] = MappingProxyType(
    {
        **dict.fromkeys(
            (
                "llama",
                "mistral",
                "ministral",
                "ministral3",
                "qwen2",
                "qwen3",
                "smollm3",
                "phi3",
                "cohere2",
                "exaone4",
                "olmo2",
                "olmo3",
                "cwm",
                "granite",
                "granite_swa",
                "gemma",
                "seed_oss",
                "hunyuan_v1_dense",
                "olmo",
                "cohere",
                "glm",
                "glm4",
                "ernie4_5",
                "helium",
                "exaone",
                "internlm3",
            ),
            groups.llama,
        ),
        **dict.fromkeys(
            (
                "mixtral",
                "minimax_m2",
                "qwen3_moe",
                "glm4_moe",
                "hunyuan_v1_moe",
                "hy_v3",
                "kolibri1",
                "laguna",
                "qwen2_moe",
                "olmoe",
                "granitemoe",
                "dots1",
            ),
            groups.routed,
        ),
        **dict.fromkeys(classics.STYLES, classics.classic),
        "falcon": classics.falcon,
        **dict.fromkeys(("bert", "roberta", "xlm-roberta", "camembert", "electra", "distilbert"), encoders.bert),
        "albert": encoders.albert,
        "modernbert": encoders.modernbert,
        "gpt_oss": windows.gpt_oss,
        "llama4_text": windows.llama4,
        "mimo_v2_flash": windows.mimo,
        "afmoe": windows.afmoe,
        "gemma2": gemmas.gemma,
        "gemma3_text": gemmas.gemma,
        "gemma3n_text": gemmas.gemma3n,
        "gemma4_text": gemmas.gemma4,
        "deepseek_v2": latents.deepseek,
        "deepseek_v3": latents.deepseek,
        "mistral4": latents.deepseek,
        "deepseek_v32": latents.indexed,
        "glm_moe_dsa": latents.indexed,
        "hy_v4": latents.hyper,
        "deepseek_v4": latents.deepseek_v4,
        "qwen3_next": delta.qwen,
        "qwen3_5_text": delta.qwen,
        "qwen3_5_moe_text": delta.qwen,
        "olmo_hybrid": delta.olmo_hybrid,
        "kimi_linear": delta.kimi,
        "bailing_hybrid": delta.kimi,
        "minimax": delta.minimax,
        "nemotron_h": states.nemotron_h,
        "bamba": states.bamba,
        "granitemoehybrid": states.bamba,
        "falcon_h1": states.falcon_h1,
        "jamba": states.jamba,
        "zamba2": states.zamba2,
        "recurrent_gemma": states.recurrent_gemma,
        **dict.fromkeys(("mamba", "mamba2", "falcon_mamba"), states.mamba),
        "lfm2": states.lfm,
        "lfm2_moe": states.lfm,
        "lfm3": states.lfm,
    }
)
