"""Transformers' DynamicCache, made from the config: what its tensors hold after n tokens.

Source: cache_utils.py of 5.24, run. A window keeps w − 1 tokens, a chunk c − 1, a convolution K columns (not K − 1);
the recurrence is in float32 where the module computes it so; latent attention keeps the latents. Layers that read
another's cache keep nothing. StaticCache would allocate n tokens a full layer, min(w, n) a window.
"""

from __future__ import annotations

from attnprof.models.architecture import Architecture
from attnprof.models.caches import CacheAsk, layer_kv_bytes, layer_state_bytes
from attnprof.models.engines.allocation import EngineAnswer, PoolRow

SOURCE = "transformers cache_utils.py 5.24"


def allocated(model: Architecture, ask: CacheAsk) -> EngineAnswer:
    """What the cache's tensors hold for a batch of sequences of n tokens."""
    rows = []
    for group in model.groups:
        held = layer_kv_bytes(group.layer, ask) + layer_state_bytes(group.layer, ask, more_columns=1)
        if held:
            rows.append(PoolRow(kind=group.layer.title, layers=group.count, bytes=ask.sequences * group.count * held))
    return EngineAnswer(
        name="transformers",
        bytes=sum(row.bytes for row in rows),
        source=SOURCE,
        assumptions={"cache": "DynamicCache(config)", "conv_columns": "K"},
        rows=tuple(rows),
    )
