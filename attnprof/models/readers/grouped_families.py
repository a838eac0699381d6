"""Families of grouped queries in every layer: everything read, or windows and chunks between full layers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from attnprof.models.architecture import Architecture, ModelLayer, SoftmaxMixer
from attnprof.models.model_config import ModelConfig
from attnprof.models.readers.building import DENSE, SPARSE, WINDOW, experts, glu, grouped, model
from attnprof.models.readers.layer_words import (
    Spans,
    everything,
    everything_unless_listed,
    full_at_the_end_of,
    full_at_the_start_of,
    window_if_set,
    window_if_used,
    windows_above,
)


@dataclass(frozen=True, slots=True)
class DenseStyle:
    """What tells the families apart: norms of a layer and of a head, biases, sinks, which keys are read."""

    norms: int = 2
    head_norms: int = 0
    whole_norms: bool = False
    qkv_bias: bool = False
    out_bias: bool = True
    sinks: bool = False
    spans: Spans = everything


STYLES: Mapping[str, DenseStyle] = MappingProxyType(
    {
        "llama": DenseStyle(),
        "granite": DenseStyle(),
        "gemma": DenseStyle(),
        "seed_oss": DenseStyle(),
        "mistral": DenseStyle(spans=window_if_set),
        "phi3": DenseStyle(spans=window_if_set),
        "ministral": DenseStyle(spans=window_if_set),
        "ministral3": DenseStyle(spans=window_if_set),
        "mixtral": DenseStyle(spans=window_if_set),
        "qwen2": DenseStyle(qkv_bias=True, spans=windows_above),
        "qwen3": DenseStyle(head_norms=2, spans=windows_above),
        "qwen3_moe": DenseStyle(head_norms=2, spans=window_if_used),
        "smollm3": DenseStyle(spans=windows_above),
        "hunyuan_v1_dense": DenseStyle(head_norms=2),
        "hunyuan_v1_moe": DenseStyle(head_norms=2),
        "hy_v3": DenseStyle(head_norms=2),
        "cohere2": DenseStyle(norms=1, spans=full_at_the_end_of(4)),
        "exaone4": DenseStyle(head_norms=2, spans=full_at_the_end_of(4)),
        "olmo2": DenseStyle(whole_norms=True),
        "olmo3": DenseStyle(whole_norms=True, spans=full_at_the_end_of(4)),
        "cwm": DenseStyle(spans=full_at_the_start_of(4)),
        "granite_swa": DenseStyle(sinks=True, spans=full_at_the_start_of(4)),
        "minimax_m2": DenseStyle(whole_norms=True),
        "glm4_moe": DenseStyle(out_bias=False),
        "kolibri1": DenseStyle(norms=4, head_norms=2, spans=full_at_the_end_of(5)),
        "laguna": DenseStyle(head_norms=2, spans=everything_unless_listed),
        "olmo": DenseStyle(norms=0),
        "cohere": DenseStyle(norms=1),
        "glm": DenseStyle(out_bias=False),
        "glm4": DenseStyle(norms=4, out_bias=False),
        "ernie4_5": DenseStyle(),
        "helium": DenseStyle(out_bias=False),
        "exaone": DenseStyle(),
        "internlm3": DenseStyle(),
        "qwen2_moe": DenseStyle(qkv_bias=True, spans=windows_above),
        "olmoe": DenseStyle(whole_norms=True),
        "granitemoe": DenseStyle(),
        "dots1": DenseStyle(head_norms=2, spans=windows_above),
    }
)


def llama(config: ModelConfig) -> Architecture:
    """Llama and what follows it: grouped queries, a gated FFN."""
    width = config.size("intermediate_size")
    ffn = glu(config, width, vectors=2 * width + config.dim if config.flag("mlp_bias") else 0)
    norms = STYLES[config.model_type].norms * config.dim
    layers = [ModelLayer(mixers=(mixer,), ffn=ffn, vectors=norms) for mixer in _attentions(config)]
    return model(config, layers, final=config.dim if norms else 0)  # OLMo's norms have no weights, its last one neither


def _attentions(config: ModelConfig, *, gates: bool = False) -> list[SoftmaxMixer]:
    """The attention of each layer, in the style of the family; with `gates`, a gate a head."""
    style = STYLES[config.model_type]
    qk_norm = 2 if config.flag("use_qk_norm") else 0
    bias = config.flag("attention_bias")
    by_layer = config.listed("num_attention_heads_per_layer") or [config.size("num_attention_heads")] * config.depth
    mixers = []
    for word, heads in zip(style.spans(config), by_layer, strict=True):
        kv_heads = config.size("num_key_value_heads", heads)
        head_dim = config.size("head_dim", config.dim // config.size("num_attention_heads"))
        own = (heads + kv_heads) * head_dim if style.whole_norms else 0
        mixers.append(
            grouped(
                config,
                window=config.size("sliding_window") if word == WINDOW else None,
                heads=heads,
                gate=heads if gates else 0,
                head_norms=style.head_norms or qk_norm,
                vectors=own + (heads if style.sinks else 0),
                bias=bias or style.qkv_bias,
                out_bias=config.flag("attention_out_bias", bias and style.out_bias),
            )
        )
    return mixers


def routed(config: ModelConfig) -> Architecture:
    """Mixtral, MiniMax-M2, Qwen3-MoE, GLM-4.5, Hunyuan, Kolibri, Laguna: experts in all or most layers."""
    kind, depth = config.model_type, config.depth
    width = config.size("moe_intermediate_size", config.maybe("intermediate_size"))
    count = config.size("num_local_experts", config.size("n_routed_experts", config.size("num_experts", 0)))
    shared = config.size("n_shared_experts", config.size("num_shared_experts", int(kind == "hunyuan_v1_moe")))
    shared_width = config.size("shared_expert_intermediate_size", shared * width)
    sparse = experts(
        config,
        width=width,
        count=count,
        active=config.size("num_experts_per_tok", config.maybe("moe_topk")),
        shared_width=shared_width,
        shared_gate=int(kind == "qwen2_moe"),
        shared=shared,
        vectors=count if kind == "laguna" else 0,
    )
    first = config.size("first_k_dense_replace", 1 if kind in ("laguna", "hy_v3") else 0)
    step, alone = config.size("decoder_sparse_step", 1), set(config.listed("mlp_only_layers") or ())
    otherwise = [DENSE if i < first or i in alone or (i + 1) % step else SPARSE for i in range(depth)]
    words = config.kinds("mlp_layer_types", otherwise, known=(DENSE, SPARSE))
    dense = glu(config, config.size("intermediate_size")) if DENSE in words else sparse
    gates = kind == "laguna" and config.flag("gating")
    norms = STYLES[kind].norms * config.dim
    layers = [
        ModelLayer(mixers=(mixer,), ffn=dense if word == DENSE else sparse, vectors=norms)
        for word, mixer in zip(words, _attentions(config, gates=gates), strict=True)
    ]
    return model(config, layers)
