"""Families of latent attention (MLA), with and without an indexer, and DeepSeek-V4's compressed attention."""

from __future__ import annotations

from dataclasses import replace

from attnprof.models.architecture import (
    Architecture,
    Compression,
    FeedForwardSizes,
    IndexerSizes,
    ModelLayer,
    SoftmaxMixer,
)
from attnprof.models.model_config import ModelConfig
from attnprof.models.readers.building import DENSE, SPARSE, experts, glu, latent, model

SHARED = "shared"
CSA, HCA = "compressed_sparse_attention", "heavily_compressed_attention"


def _ffns(config: ModelConfig, first: int) -> list[FeedForwardSizes]:
    """The FFN of each layer: dense ones first, then experts."""
    otherwise = [DENSE if i < first else SPARSE for i in range(config.depth)]
    words = config.kinds("mlp_layer_types", otherwise, known=(DENSE, SPARSE))
    sparse, dense = _experts(config), glu(config, config.size("intermediate_size"))
    return [dense if word == DENSE else sparse for word in words]


def _experts(config: ModelConfig) -> FeedForwardSizes:
    """Routed experts and shared ones, all of one width."""
    width, shared = config.size("moe_intermediate_size"), config.size("n_shared_experts", 0)
    return experts(
        config,
        width=width,
        count=config.size("n_routed_experts"),
        active=config.size("num_experts_per_tok"),
        shared_width=width * shared,
        shared=shared,
    )


def deepseek(config: ModelConfig) -> Architecture:
    """DeepSeek-V2 and V3, Mistral 4: latent attention in every layer."""
    mixer = latent(config)
    layers = [
        ModelLayer(mixers=(mixer,), ffn=ffn, vectors=2 * config.dim)
        for ffn in _ffns(config, config.size("first_k_dense_replace", 0))
    ]
    return model(config, layers)


def indexed(config: ModelConfig) -> Architecture:
    """DeepSeek-V3.2 and GLM-5: latent attention to the keys that an indexer chooses; some layers share a choice."""
    layers = [
        ModelLayer(mixers=(mixer,), ffn=ffn, vectors=2 * config.dim)
        for mixer, ffn in zip(_choosing(config), _ffns(config, config.size("first_k_dense_replace", 3)), strict=True)
    ]
    return model(config, layers)


def _choosing(config: ModelConfig, *, gate: int = 0, vectors: int = 0) -> list[SoftmaxMixer]:
    """The attention of each layer, with an indexer of its own or another's choice."""
    mixers = []
    for word in config.kinds("indexer_types", _schedule(config), known=("full", SHARED)):
        indexer = replace(_own_indexer(config), scored=word != SHARED)
        mixers.append(latent(config, indexer=indexer, gate=gate, vectors=vectors))
    return mixers


def _schedule(config: ModelConfig) -> list[str]:
    """Which layers choose, where the config lists none: all of DeepSeek's, GLM's by frequency, each fourth of HY's."""
    if config.model_type == "hy_v4":
        return ["full" if i == 0 or (i - 1) % 4 == 0 else SHARED for i in range(config.depth)]
    every, offset = max(config.size("index_topk_freq", 1), 1), config.size("index_skip_topk_offset", 2)
    return ["full" if max(i - offset + 1, 0) % every == 0 else SHARED for i in range(config.depth)]


def hyper(config: ModelConfig) -> Architecture:
    """HY-V4: indexed latent attention with a sink a head and a gate as wide as the heads; hyper-connections."""
    heads, streams = config.size("num_attention_heads"), config.size("hc_mult")
    gate = heads * config.size("v_head_dim")
    layers = [
        ModelLayer(
            mixers=(mixer,),
            ffn=ffn,
            vectors=2 * config.dim + 2 * (2 * streams + 2),
            extra_params=2 * (2 * streams) * streams * config.dim,
            extra_macs=2 * (2 * streams) * streams * config.dim,
        )
        for mixer, ffn in zip(_choosing(config, gate=gate, vectors=heads), _ffns(config, 1), strict=True)
    ]
    last = streams * streams * config.dim
    return model(config, layers, final=config.dim + streams + 1, outside_params=last, outside_macs=last)


def deepseek_v4(config: ModelConfig) -> Architecture:
    """DeepSeek-V4: a window in every layer, and besides it entries pooled of 4 tokens (chosen) or of 128 (all of them).

    One vector is key and value of all heads; the output goes through groups of heads; four residual streams are mixed
    by hyper-connections, whose mixing is a product without parameters.
    """
    dim, depth, streams = config.dim, config.depth, config.size("hc_mult")
    hidden = min(depth, 2)
    otherwise = [HCA] * hidden + [CSA if i % 2 else HCA for i in range(depth - hidden)]
    mixers = {word: _pooling(config, chosen=word == CSA) for word in (CSA, HCA)}
    sparse = _experts(config)
    connections = 2 * (2 + streams) * streams * streams * dim
    layers = [
        ModelLayer(
            mixers=(mixers[word],),
            ffn=sparse,
            vectors=2 * dim + 2 * ((2 + streams) * streams + 3),
            extra_params=connections,
            extra_macs=connections + 2 * streams * streams * dim,
        )
        for word in config.kinds("layer_types", otherwise, known=(CSA, HCA))
    ]
    last = streams * streams * dim
    return model(config, layers, final=dim + streams + 1, outside_params=last, outside_macs=last)


def _pooling(config: ModelConfig, *, chosen: bool) -> SoftmaxMixer:
    """A window and pooled entries besides; where they are chosen, in two overlapping series, by an indexer."""
    dim, heads, width = config.dim, config.size("num_attention_heads"), config.size("head_dim")
    rank, out_rank = config.size("q_lora_rank"), config.size("o_lora_rank")
    rate = int({CSA: 4, HCA: 128, **config.table("compress_rates")}[CSA if chosen else HCA])
    series = 2 if chosen else 1
    out = heads * width * out_rank + config.size("o_groups") * out_rank * dim
    indexer = _own_indexer(config) if chosen else None
    index_weights = indexer.heads * (rank * indexer.dim + dim) + 4 * dim * indexer.dim if indexer else 0
    return SoftmaxMixer(
        heads=heads,
        kv_heads=1,
        head_dim=width,
        v_head_dim=width,
        weights=dim * rank + rank * heads * width + dim * width + out + 2 * dim * width * series + index_weights,
        vectors=heads + rank + 2 * width + rate * width * series + ((2 * rate + 1) * indexer.dim if indexer else 0),
        kv_width=width,
        window=config.size("sliding_window"),
        indexer=indexer,
        compression=Compression(rate),
    )


def _own_indexer(config: ModelConfig) -> IndexerSizes:
    return IndexerSizes(config.size("index_n_heads"), config.size("index_head_dim"), config.size("index_topk"))
