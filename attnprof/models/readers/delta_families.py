"""Families of linear attention between attention layers: Gated DeltaNet, Kimi Delta Attention, lightning attention."""

from __future__ import annotations

from attnprof.models.architecture import Architecture, FeedForwardSizes, Mixer, ModelLayer, RecurrentMixer
from attnprof.models.model_config import ModelConfig
from attnprof.models.readers.building import (
    DENSE,
    FULL,
    LINEAR,
    SPARSE,
    delta_with_channel_gates,
    every,
    experts,
    gated_delta,
    glu,
    grouped,
    latent,
    model,
)
from attnprof.records import JsonObject

BOTH = (FULL, LINEAR)
# The sizes of the linear layers: as checkpoints of Kimi Linear give them in a table of their own, and as keys.
GIVEN = ("num_heads", "head_dim", "short_conv_kernel_size")
LINEAR_SIZES = ("linear_num_heads", "linear_head_dim", "linear_conv_kernel_dim")


def qwen(config: ModelConfig) -> Architecture:
    """Qwen3-Next and Qwen3.5: three Gated DeltaNet layers and one of gated attention, whose q is twice as wide."""
    period = config.size("full_attention_interval", 4)
    words = config.kinds("layer_types", every(period, config.depth, FULL, LINEAR), known=BOTH)
    heads, head_dim = config.size("num_attention_heads"), config.size("head_dim")
    attention = grouped(config, gate=heads * head_dim, head_norms=2, bias=config.flag("attention_bias"))
    delta = gated_delta(
        config.dim,
        key_heads=config.size("linear_num_key_heads"),
        value_heads=config.size("linear_num_value_heads"),
        key_dim=config.size("linear_key_head_dim"),
        value_dim=config.size("linear_value_head_dim"),
        kernel=config.size("linear_conv_kernel_dim"),
    )
    alone = set(config.listed("mlp_only_layers") or ())
    step = config.size("decoder_sparse_step", 1)
    layers = [
        ModelLayer(
            mixers=(attention if word == FULL else delta,),
            ffn=_qwen_ffn(config, dense=i in alone or (i + 1) % step != 0),
            vectors=2 * config.dim,
        )
        for i, word in enumerate(words)
    ]
    return model(config, layers)


def _qwen_ffn(config: ModelConfig, *, dense: bool) -> FeedForwardSizes:
    count = config.size("num_experts", 0)
    if dense or not count:
        return glu(config, config.size("intermediate_size"))
    return experts(
        config,
        width=config.size("moe_intermediate_size"),
        count=count,
        active=config.size("num_experts_per_tok"),
        shared_width=config.size("shared_expert_intermediate_size"),
        shared_gate=1,
    )


def olmo_hybrid(config: ModelConfig) -> Architecture:
    """OLMo hybrid: three Gated DeltaNet layers with values twice as wide as keys, and one of attention."""
    words = config.kinds("layer_types", every(4, config.depth, FULL, LINEAR), known=BOTH)
    heads = config.size("num_attention_heads")
    width = (heads + config.size("num_key_value_heads", heads)) * config.size("head_dim", config.dim // heads)
    attention = grouped(config, vectors=width, bias=config.flag("attention_bias"))
    key_heads = config.size("linear_num_key_heads", heads)
    key_dim = config.size("linear_key_head_dim", 3 * config.dim // (4 * key_heads))
    delta = gated_delta(
        config.dim,
        key_heads=key_heads,
        value_heads=config.size("linear_num_value_heads", heads),
        key_dim=key_dim,
        value_dim=config.size("linear_value_head_dim", 2 * key_dim),
        kernel=config.size("linear_conv_kernel_dim"),
    )
    ffn = glu(config, config.size("intermediate_size"))
    layers = [
        ModelLayer(mixers=(attention if word == FULL else delta,), ffn=ffn, vectors=2 * config.dim) for word in words
    ]
    return model(config, layers)


def kimi(config: ModelConfig) -> Architecture:
    """Kimi Linear (KDA with low-rank gates) and Ling/Ring linear (with full ones), latent attention between."""
    depth, ling = config.depth, config.model_type == "bailing_hybrid"
    given = config.table("linear_attn_config")
    otherwise = every(config.size("layer_group_size"), depth, FULL, LINEAR) if ling else _kimi_words(given, depth)
    words = config.kinds("layer_types", otherwise, known=BOTH)
    own = ("num_attention_heads", "head_dim", "short_conv_kernel_size") if ling else LINEAR_SIZES
    heads, head_dim, kernel = (int(given.get(key, config.size(name))) for key, name in zip(GIVEN, own, strict=True))
    width = heads * head_dim
    gates = 2 * config.dim * width if ling else 2 * (config.dim * head_dim + head_dim * width)
    delta = delta_with_channel_gates(
        config.dim,
        heads=heads,
        head_dim=head_dim,
        kernel=kernel,
        gates=gates,
    )
    attention: Mixer = latent(config, gate=config.size("num_attention_heads") if ling else 0)
    first = config.size("first_k_dense_replace", 1)
    kinds = config.kinds(
        "mlp_layer_types", [DENSE if i < first else SPARSE for i in range(depth)], known=(DENSE, SPARSE)
    )
    shared, expert = config.size("num_shared_experts"), config.size("moe_intermediate_size")
    sparse = experts(
        config,
        width=expert,
        count=config.size("num_experts"),
        active=config.size("num_experts_per_token"),
        shared_width=shared * expert,
        shared=shared,
    )
    dense = glu(config, config.size("intermediate_size"))
    layers = [
        ModelLayer(
            mixers=(attention if word == FULL else delta,),
            ffn=dense if kind == DENSE else sparse,
            vectors=2 * config.dim,
        )
        for word, kind in zip(words, kinds, strict=True)
    ]
    return model(config, layers)


def _kimi_words(given: JsonObject, depth: int) -> list[str]:
    """Full layers where a checkpoint lists them, counted from 1; else each fourth after the first."""
    full_at = {int(layer) - 1 for layer in given.get("full_attn_layers", ())} or set(range(4, depth, 4))
    return [FULL if i in full_at else LINEAR for i in range(depth)]


def minimax(config: ModelConfig) -> Architecture:
    """MiniMax-Text-01: lightning attention (Qin et al. 2024) with an output gate, between full layers."""
    otherwise = every(2, config.depth, LINEAR, FULL)
    types = config.listed("attn_type_list")
    if types is not None:
        otherwise = [FULL if kind else LINEAR for kind in types]
    words = config.kinds("layer_types", otherwise, known=BOTH)
    dim, heads = config.dim, config.size("num_attention_heads")
    head_dim = config.size("head_dim", dim // heads)
    width = heads * head_dim
    lightning = RecurrentMixer(
        kind="lightning",
        heads=heads,
        key_dim=head_dim,
        value_dim=head_dim,
        weights=dim * 3 * width + 2 * dim * width,
        vectors=width,
        flops=4 * heads * head_dim * head_dim,
        float32_state=False,
        chunk=config.size("block_size"),
    )
    attention = grouped(config)
    ffn = experts(
        config,
        width=config.size("intermediate_size"),
        count=config.size("num_local_experts"),
        active=config.size("num_experts_per_tok"),
    )
    layers = [
        ModelLayer(mixers=(attention if word == FULL else lightning,), ffn=ffn, vectors=2 * dim) for word in words
    ]
    return model(config, layers)
