"""The Gemma families: windows between full layers, shared caches, embeddings by layer."""

from __future__ import annotations

from attnprof.models.architecture import Architecture, ModelLayer
from attnprof.models.model_config import ModelConfig
from attnprof.models.readers.building import FULL, WINDOW, every, glu, grouped, model


def gemma(config: ModelConfig) -> Architecture:
    """Gemma 2 (window, full) and Gemma 3 (five windows, full; the last period is cut)."""
    config.refuse("use_bidirectional_attention")
    third = config.model_type == "gemma3_text"
    period = config.size("sliding_window_pattern", config.size("_sliding_window_pattern", 6)) if third else 2
    words = config.kinds("layer_types", every(period, config.depth, FULL, WINDOW), known=(FULL, WINDOW))
    ffn = glu(config, config.size("intermediate_size"))
    layers = [
        ModelLayer(
            mixers=(
                grouped(
                    config,
                    window=config.size("sliding_window") if word == WINDOW else None,
                    head_norms=2 if third else 0,
                    bias=config.flag("attention_bias"),
                ),
            ),
            ffn=ffn,
            vectors=4 * config.dim,
        )
        for word in words
    ]
    return model(config, layers)


def gemma3n(config: ModelConfig) -> Architecture:
    """Gemma 3n: the last layers read earlier ones' caches; AltUp, LAuReL, and an input of each layer's own.

    Every stream but the first is projected in and out of the stack (`altup_projections`); AltUp's router runs twice a
    layer, and its prediction mixes the streams by a product without parameters.
    """
    dim, depth = config.dim, config.depth
    words = config.kinds("layer_types", every(5, depth, FULL, WINDOW), known=(FULL, WINDOW))
    first_shared = depth - config.size("num_kv_shared_layers", 0)
    streams, rank = config.size("altup_num_inputs"), config.size("laurel_rank")
    own = config.size("hidden_size_per_layer_input")
    side = 2 * dim * rank + 2 * dim * own
    router, tables = streams * dim, streams**3 + streams**2
    given = config.values.get("intermediate_size")
    widths = config.listed("intermediate_size") if isinstance(given, (list, tuple)) else None
    layers = [
        ModelLayer(
            mixers=(
                grouped(
                    config,
                    window=config.size("sliding_window") if word == WINDOW else None,
                    head_norms=2 if i < first_shared else 1,
                    own_cache=i < first_shared,
                ),
            ),
            ffn=glu(config, widths[i % len(widths)] if widths else config.size("intermediate_size")),
            vectors=8 * dim,
            extra_params=side + router + tables,
            extra_macs=side + 2 * router + tables + dim * streams**2,
        )
        for i, word in enumerate(words)
    ]
    between = 2 * (streams - 1) * dim * dim
    own_inputs = depth * own * dim
    return model(
        config,
        layers,
        embedding=dim * config.size("vocab_size") + config.size("vocab_size_per_layer_input") * depth * own,
        final=dim + own,
        outside_params=between + own_inputs,
        outside_macs=between + own_inputs,
    )


def gemma4(config: ModelConfig) -> Architecture:
    """Gemma 4: full layers have wider heads (512), the last layer is full, an input of each layer's own."""
    config.refuse("enable_moe_block")
    config.refuse("use_bidirectional_attention")
    dim, depth = config.dim, config.depth
    words = config.kinds("layer_types", every(6, depth, FULL, WINDOW), known=(FULL, WINDOW))
    words[-1] = FULL
    one_for_both = config.flag("attention_k_eq_v")
    first_shared = depth - config.size("num_kv_shared_layers", 0)
    own = config.size("hidden_size_per_layer_input", 0)
    side = 2 * dim * own
    wide = config.size("global_head_dim", _full_width(config))
    kv_heads = config.size("num_key_value_heads")
    layers = []
    for i, word in enumerate(words):
        full = word == FULL
        mixer = grouped(
            config,
            window=None if full else config.size("sliding_window"),
            head_dim=wide if full else config.size("head_dim"),
            kv_heads=config.size("num_global_key_value_heads", kv_heads) if full and one_for_both else kv_heads,
            head_norms=2 if i < first_shared else 1,
            own_cache=i < first_shared,
            values_are_keys=full and one_for_both,
            bias=config.flag("attention_bias"),
        )
        doubled = config.flag("use_double_wide_mlp") and i >= first_shared
        ffn = glu(config, config.size("intermediate_size") * (2 if doubled else 1))
        norms = 4 * dim + (dim if own else 0)
        layers.append(ModelLayer(mixers=(mixer,), ffn=ffn, vectors=norms, extra_params=side, extra_macs=side))
    table = config.size("vocab_size_per_layer_input", 0) * depth * own
    return model(
        config,
        layers,
        embedding=dim * config.size("vocab_size") + table,
        final=dim + own,
        outside_params=depth * own * dim,
        outside_macs=depth * own * dim,
    )


def _full_width(config: ModelConfig) -> int:
    """The head width of full layers as a config lists it by layer; 512 where it lists none."""
    widths = [layer.get("head_dim") for layer in config.table("per_layer_config").values()]
    return next((int(width) for width in widths if width), 512)
