"""Encoders, in which every token reads those before and behind it: BERT and its kin, ALBERT, ModernBERT.

They are models of masked tokens here: with the transform before the head, and the head's biases.
"""

from __future__ import annotations

from attnprof.models.architecture import Architecture, ModelLayer
from attnprof.models.model_config import ModelConfig
from attnprof.models.readers.building import FULL, WINDOW, glu, grouped, model
from attnprof.models.readers.classic_families import feed_forward


def bert(config: ModelConfig) -> Architecture:
    """BERT, RoBERTa and theirs, DistilBERT (no token types), ELECTRA (narrow embeddings)."""
    layer = _layer(config)
    return _masked(config, [layer] * config.depth)


def albert(config: ModelConfig) -> Architecture:
    """ALBERT: narrow embeddings, one layer stored and run at every depth."""
    if config.size("num_hidden_groups", 1) != 1 or config.size("inner_group_num", 1) != 1:
        config.refuse("num_hidden_groups")
    layer = _layer(config)
    return _masked(config, [layer] * config.depth, reused=(config.depth - 1) * layer.params)


def _layer(config: ModelConfig) -> ModelLayer:
    """Attention and a plain FFN, all with biases, a LayerNorm after each."""
    mixer = grouped(config, bias=True, causal=False)
    return ModelLayer(mixers=(mixer,), ffn=feed_forward(config, gated=False, bias=True), vectors=4 * config.dim)


def _masked(config: ModelConfig, layers: list[ModelLayer], *, reused: int = 0) -> Architecture:
    """Embeddings of words, places and types with a norm, the layers, a transform with a norm, and the head."""
    dim, vocab = config.dim, config.size("vocab_size")
    width = config.size("embedding_size", dim)
    widening = 0 if width == dim else width * dim
    rows = vocab + config.size("max_position_embeddings") + config.size("type_vocab_size", 0)
    transform = dim * width
    return model(
        config,
        layers,
        embedding=width * rows,
        final=2 * width + (dim if widening else 0) + width + 2 * width + vocab,
        tied=True,
        reused=reused,
        outside_params=transform + widening,
        outside_macs=transform + widening,
        word_width=width,
    )


def modernbert(config: ModelConfig) -> Architecture:
    """ModernBERT: every third layer reads everything, the others half of `local_attention` to each side; no biases."""
    every_third = [
        FULL if i % config.size("global_attn_every_n_layers", 3) == 0 else WINDOW for i in range(config.depth)
    ]
    words = config.kinds("layer_types", every_third, known=(FULL, WINDOW))
    dim, norm, bias = config.dim, 2 if config.flag("norm_bias") else 1, config.flag("attention_bias")
    width = config.size("intermediate_size")
    ffn = glu(config, width, vectors=2 * width + dim if config.flag("mlp_bias") else 0)
    side = config.size("local_attention") // 2 + 1
    layers = [
        ModelLayer(
            mixers=(grouped(config, window=side if word == WINDOW else None, bias=bias, causal=False),),
            ffn=ffn,
            vectors=norm * dim * (2 if i else 1),
        )
        for i, word in enumerate(words)
    ]
    vectors = 3 * norm * dim + (dim if config.flag("classifier_bias") else 0)
    vectors += config.size("vocab_size") if config.flag("decoder_bias", True) else 0
    return model(config, layers, final=vectors, outside_params=dim * dim, outside_macs=dim * dim)
