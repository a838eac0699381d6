"""Families with windows or chunks between full layers that have ways of their own: GPT-OSS, Llama 4, MiMo, AFMoE."""

from __future__ import annotations

from attnprof.models.architecture import Architecture, ModelLayer
from attnprof.models.model_config import ModelConfig
from attnprof.models.readers.building import CHUNK, DENSE, FULL, SPARSE, WINDOW, every, experts, glu, grouped, model


def gpt_oss(config: ModelConfig) -> Architecture:
    """GPT-OSS: windows and full layers by turns, a sink a head, experts with biases."""
    dim, width = config.dim, config.size("intermediate_size")
    count = config.size("num_local_experts")
    ffn = experts(
        config,
        width=width,
        count=count,
        active=config.size("num_experts_per_tok"),
        vectors=count,
        expert_vectors=2 * width + dim,
    )
    words = config.kinds("layer_types", every(2, config.depth, FULL, WINDOW), known=(FULL, WINDOW))
    layers = [
        ModelLayer(
            mixers=(
                grouped(
                    config,
                    window=config.size("sliding_window") if word == WINDOW else None,
                    vectors=config.size("num_attention_heads"),
                    bias=config.flag("attention_bias", True),
                ),
            ),
            ffn=ffn,
            vectors=2 * dim,
        )
        for word in words
    ]
    return model(config, layers)


def llama4(config: ModelConfig) -> Architecture:
    """Llama 4: chunks, every fourth layer full and without rotary positions; the module runs every expert."""
    depth, chunk = config.depth, config.maybe("attention_chunk_size")
    interval = config.size("no_rope_layer_interval", 4)
    rotary = config.listed("no_rope_layers") or [int((i + 1) % interval != 0) for i in range(depth)]
    otherwise = [CHUNK if turned and chunk is not None else FULL for turned in rotary]
    words = config.kinds("layer_types", otherwise, known=(CHUNK, FULL))
    count, step = config.size("num_local_experts"), config.size("interleave_moe_layer_step", 1)
    listed = config.listed("moe_layers")
    sparse_at = set(range(step - 1, depth, step) if listed is None else listed)
    width = config.size("intermediate_size")
    sparse = experts(
        config, width=width, count=count, active=config.size("num_experts_per_tok"), shared_width=width, runs=count
    )
    dense = glu(config, config.size("intermediate_size_mlp"))
    bias = config.flag("attention_bias")
    layers = [
        ModelLayer(
            mixers=(grouped(config, chunk=chunk if word == CHUNK else None, bias=bias),),
            ffn=sparse if i in sparse_at else dense,
            vectors=2 * config.dim,
        )
        for i, word in enumerate(words)
    ]
    return model(config, layers, notes=("transformers runs every routed expert on every token",))


def mimo(config: ModelConfig) -> Architecture:
    """MiMo-V2-Flash: windows with twice the KV heads and a sink, keys of 192, values of 128."""
    depth = config.depth
    otherwise = [FULL if i == 0 or (i + 1) % 6 == 0 else WINDOW for i in range(depth)]
    words = config.kinds("layer_types", otherwise, known=(FULL, WINDOW))
    kinds = config.kinds("mlp_layer_types", [DENSE, *[SPARSE] * (depth - 1)], known=(DENSE, SPARSE))
    sparse = experts(
        config,
        width=config.size("moe_intermediate_size"),
        count=config.size("n_routed_experts"),
        active=config.size("num_experts_per_tok"),
    )
    dense = glu(config, config.size("intermediate_size"))
    heads, kv_heads = config.size("num_attention_heads"), config.size("num_key_value_heads")
    layers = [
        ModelLayer(
            mixers=(
                grouped(
                    config,
                    window=config.size("sliding_window") if word == WINDOW else None,
                    kv_heads=config.size("swa_num_key_value_heads", 2 * kv_heads) if word == WINDOW else kv_heads,
                    v_head_dim=config.size("v_head_dim"),
                    vectors=heads if word == WINDOW else 0,
                ),
            ),
            ffn=dense if kind == DENSE else sparse,
            vectors=2 * config.dim,
        )
        for word, kind in zip(words, kinds, strict=True)
    ]
    return model(config, layers)


def afmoe(config: ModelConfig) -> Architecture:
    """AFMoE (Trinity): windows and full layers, a gate as wide as the heads, dense layers first, shared experts."""
    period = config.size("global_attn_every_n_layers", 4)
    words = config.kinds("layer_types", every(period, config.depth, FULL, WINDOW), known=(FULL, WINDOW))
    heads = config.size("num_attention_heads")
    head_dim = config.size("head_dim", config.dim // heads)
    width, shared = config.size("moe_intermediate_size"), config.size("num_shared_experts")
    count = config.size("num_experts")
    sparse = experts(
        config,
        width=width,
        count=count,
        active=config.size("num_experts_per_tok"),
        shared_width=width * shared,
        shared=shared,
        vectors=count,
    )
    dense = glu(config, config.size("intermediate_size"))
    layers = [
        ModelLayer(
            mixers=(
                grouped(
                    config,
                    window=config.size("sliding_window") if word == WINDOW else None,
                    gate=heads * head_dim,
                    head_norms=2,
                    bias=config.flag("attention_bias"),
                ),
            ),
            ffn=dense if i < config.size("num_dense_layers") else sparse,
            vectors=4 * config.dim,
        )
        for i, word in enumerate(words)
    ]
    return model(config, layers)
