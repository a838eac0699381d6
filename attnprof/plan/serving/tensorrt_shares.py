"""TensorRT-LLM: one pool a window size, each with an equal share of the memory that is free for caches.

Source: tensorrt_llm/_torch/pyexecutor/resource_manager/vswa.py at 6a7d030, its first cache manager (the second, which
later releases take for GPT-OSS and Gemma 3, sizes its pools otherwise: docs/source/features/kvcache.md at 0076e93).
Shares are equal by window size unless TRTLLM_WINDOW_SIZE_SHARES says otherwise, so that sequences fit only if the
neediest size fits into its share: what has to be free for caches is that need times the number of sizes. 90 % of the
free memory is taken.
"""

from __future__ import annotations

from attnprof.models.architecture import Architecture
from attnprof.models.caches import CacheAsk, bytes_of, recurrent_bytes, token_width
from attnprof.plan.serving.allocation import EngineAnswer, PoolRow, ceil_div

SOURCE = "TensorRT-LLM pyexecutor/resource_manager/vswa.py 6a7d030 (its first cache manager)"
BLOCK = 32
FREE_FRACTION = 0.9
DEFAULTS = {
    "tokens_per_block": "tensorrt_llm/plugin/plugin.py c20322f, PluginConfig.tokens_per_block",
    "shares": "resource_manager/vswa.py 6a7d030, window_size_shares",
    "free_fraction": "docs/source/features/kvcache.md 0076e93, free_gpu_memory_fraction",
}


def allocated(model: Architecture, ask: CacheAsk) -> EngineAnswer:
    """What has to be set apart for `ask.sequences` sequences of n tokens to fit, pools and states."""
    needs: dict[int, int] = {}
    layers: dict[int, int] = {}
    states = recurrences = 0
    for layer in model:
        for mixer in layer.softmaxes:
            if mixer.indexer is not None or mixer.compression is not None or mixer.chunk is not None:
                return EngineAnswer(
                    name="tensorrt_llm", bytes=None, source=SOURCE, why=f"its layers of {mixer.kind} were not read"
                )
            if mixer.kv_width:
                size = ask.n if mixer.window is None else min(mixer.window, ask.n)
                held = BLOCK * ceil_div(size, BLOCK) * bytes_of(token_width(mixer, ask.tp), ask.kv)
                needs[size] = needs.get(size, 0) + ask.sequences * held
                layers[size] = layers.get(size, 0) + 1
        for state in layer.recurrences:
            recurrences += 1
            states += ask.sequences * recurrent_bytes(state, ask.dtype, tp=ask.tp)
    share = max(needs.values(), default=0)
    rows = [
        PoolRow(kind=f"window {size}" if size < ask.n else "full", layers=layers[size], tokens=size, bytes=share)
        for size in needs
    ]
    if states:
        rows.append(PoolRow(kind="states", layers=recurrences, bytes=states))
    return EngineAnswer(
        name="tensorrt_llm",
        bytes=sum(row.bytes for row in rows),
        source=SOURCE,
        assumptions={"tokens_per_block": BLOCK, "shares": "equal by window size", "free_fraction": FREE_FRACTION},
        defaults=DEFAULTS,
        rows=tuple(rows),
    )
