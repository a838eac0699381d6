"""Decoders of LayerNorms, biases, learned positions and plain FFNs: GPT-2, GPT-NeoX, OPT, BLOOM, Falcon, Phi, ..."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from attnprof.models.architecture import Architecture, FeedForwardSizes, ModelLayer
from attnprof.models.model_config import ModelConfig
from attnprof.models.readers.building import WINDOW, glu, grouped, model
from attnprof.models.readers.layer_words import Spans, everything, window_if_set

Whether = Callable[[ModelConfig], bool]


def always(config: ModelConfig) -> bool:
    """Whatever a config says."""
    return True


def never(config: ModelConfig) -> bool:
    """Whatever a config says, not."""
    return False


def if_set(key: str, default: bool = False) -> Whether:
    """As a config says under this key."""
    return lambda config: config.flag(key, default)


@dataclass(frozen=True, slots=True)
class ClassicStyle:
    """What tells the families apart: norms of a layer, their entries (2 of a LayerNorm with biases), biases, places.

    `positions` are rows of learned ones beyond those that the config states, None without any; `activation_vectors` are
    parameters of a layer's activation.
    """

    norms: int = 2
    entries: int = 2
    head_norms: int = 0
    gated: bool = False
    qkv_bias: Whether = always
    out_bias: Whether = always
    ffn_bias: Whether = always
    head_bias: Whether = never
    positions: int | None = None
    embedding_norm: bool = False
    activation_vectors: int = 0
    one_key_head: Whether = never
    spans: Spans = everything


_BIASED = if_set("use_bias", True)
_ATTENTION, _MLP = if_set("attention_bias"), if_set("mlp_bias")
STYLES: Mapping[str, ClassicStyle] = MappingProxyType(
    {
        "gpt2": ClassicStyle(positions=0),
        "gpt_bigcode": ClassicStyle(positions=0, one_key_head=if_set("multi_query")),
        "gpt_neox": ClassicStyle(qkv_bias=if_set("attention_bias", True), out_bias=if_set("attention_bias", True)),
        "gptj": ClassicStyle(norms=1, qkv_bias=never, out_bias=never, head_bias=always),
        "opt": ClassicStyle(positions=2),
        "bloom": ClassicStyle(embedding_norm=True),
        "mpt": ClassicStyle(entries=1, qkv_bias=never, out_bias=never, ffn_bias=never),
        "phi": ClassicStyle(norms=1, head_bias=always),
        "stablelm": ClassicStyle(gated=True, qkv_bias=if_set("use_qkv_bias"), out_bias=never, ffn_bias=never),
        "starcoder2": ClassicStyle(qkv_bias=_BIASED, out_bias=_BIASED, ffn_bias=_BIASED, spans=window_if_set),
        "nemotron": ClassicStyle(qkv_bias=_ATTENTION, out_bias=_ATTENTION, ffn_bias=_MLP),
        "arcee": ClassicStyle(entries=1, qkv_bias=_ATTENTION, out_bias=_ATTENTION, ffn_bias=_MLP),
        "apertus": ClassicStyle(
            entries=1, head_norms=2, qkv_bias=_ATTENTION, out_bias=_ATTENTION, ffn_bias=never, activation_vectors=2
        ),
    }
)


def classic(config: ModelConfig) -> Architecture:
    """A decoder of its family's style, each layer alike but for its window."""
    config.refuse("qk_layernorm")
    return _of_style(config, STYLES[config.model_type])


def falcon(config: ModelConfig) -> Architecture:
    """Falcon: one key head (7B), or groups of them and a norm each for attention and FFN (40B and later)."""
    newer, bias = config.flag("new_decoder_architecture"), if_set("bias")
    one = never if newer else if_set("multi_query", True)
    norms = 2 if newer or not config.flag("parallel_attn", True) else 1
    norms = config.size("num_ln_in_parallel_attn", norms) if newer else norms
    style = ClassicStyle(norms=norms, qkv_bias=bias, out_bias=bias, ffn_bias=bias, one_key_head=one)
    repeated = ("transformers keeps each key head once for every head that reads it",) if newer else ()
    return replace(_of_style(config, style), notes=repeated)


def _of_style(config: ModelConfig, style: ClassicStyle) -> Architecture:
    dim, norms = config.dim, style.norms - int(config.flag("use_parallel_residual") and config.model_type == "stablelm")
    heads = config.size("num_attention_heads")
    kv_heads = (
        1 if style.one_key_head(config) else config.size("num_key_value_heads", config.size("num_kv_heads", heads))
    )
    ffn = feed_forward(config, gated=style.gated, bias=style.ffn_bias(config))
    layers = [
        ModelLayer(
            mixers=(
                grouped(
                    config,
                    kv_heads=kv_heads,
                    window=config.size("sliding_window") if word == WINDOW else None,
                    head_norms=style.head_norms,
                    bias=style.qkv_bias(config),
                    out_bias=style.out_bias(config),
                ),
            ),
            ffn=ffn,
            vectors=norms * style.entries * dim + style.activation_vectors,
        )
        for word in style.spans(config)
    ]
    rows = 0 if style.positions is None else config.size("max_position_embeddings") + style.positions
    vocab = config.size("vocab_size")
    final = style.entries * dim * (1 + style.embedding_norm) + (vocab if style.head_bias(config) else 0)
    return model(config, layers, embedding=dim * (vocab + rows), final=final)


def feed_forward(config: ModelConfig, *, gated: bool, bias: bool) -> FeedForwardSizes:
    """Two matrices, or three where it is gated, of the width that a config states: 4·D unless it does."""
    keys = ("intermediate_size", "n_inner", "ffn_dim", "ffn_hidden_size", "hidden_dim")
    found = (config.maybe(key) for key in keys)
    width = next((size for size in found if size is not None), config.size("expansion_ratio", 4) * config.dim)
    vectors = ((2 if gated else 1) * width + config.dim) if bias else 0
    if gated:
        return glu(config, width, vectors=vectors)
    return FeedForwardSizes(kind="plain", width=width, always=2 * config.dim * width, vectors=vectors)
