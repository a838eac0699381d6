"""Transformers' DynamicCache, made from the config: what its tensors hold after n tokens.

Source: cache_utils.py of 5.24, run. A window keeps w − 1 tokens, a chunk c − 1, a convolution K columns (not K − 1);
the recurrence is in float32 where the module computes it so; latent attention keeps the latents. Layers that read
another's cache keep nothing. DeepSeek-V4 keeps besides what waits to be pooled. StaticCache would allocate n tokens a
full layer, min(w, n) a window.
"""

from __future__ import annotations

from attnprof.models.architecture import Architecture, ModelLayer
from attnprof.models.caches import FLOAT32_BYTES, CacheAsk, bytes_of, layer_kv_bytes, layer_state_bytes
from attnprof.plan.serving.allocation import EngineAnswer, PoolRow

SOURCE = "transformers cache_utils.py 5.24"


def allocated(model: Architecture, ask: CacheAsk) -> EngineAnswer:
    """What the cache's tensors hold for a batch of sequences of n tokens."""
    rows = []
    for group in model.groups:
        held = layer_kv_bytes(group.layer, ask) + layer_state_bytes(group.layer, ask, more_columns=1)
        held += waiting_bytes(group.layer, ask)
        if held:
            rows.append(PoolRow(kind=group.layer.title, layers=group.count, bytes=ask.sequences * group.count * held))
    return EngineAnswer(
        name="transformers",
        bytes=sum(row.bytes for row in rows),
        source=SOURCE,
        assumptions={"cache": "DynamicCache(config)", "conv_columns": "K"},
        defaults={"cache": "cache_utils.py 5.24, generate()", "conv_columns": "cache_utils.py 5.24, run"},
        rows=tuple(rows),
    )


def waiting_bytes(layer: ModelLayer, ask: CacheAsk) -> int:
    """DeepSeek-V4: tokens that wait to be pooled, their values and gates; where an indexer picks, in two series each.

    Of two series the last pool is kept too, its gates in float32, since the next entry overlaps with it.
    """
    total = 0
    for mixer in layer.softmaxes:
        if mixer.compression is None:
            continue
        rate, width = mixer.compression.rate, mixer.head_dim + (mixer.indexer.dim if mixer.indexer else 0)
        series = 2 if mixer.indexer else 1
        total += bytes_of(ask.n % rate * 2 * series * width, ask.kv)
        if series == 2 and ask.n >= rate:
            total += bytes_of(rate * width, ask.kv) + rate * width * FLOAT32_BYTES
    return total
