"""llama.cpp: cells of a context, fewer for windows; recurrent states in float32.

Source: src/llama-kv-cache-iswa.cpp at 02c28f5 (the same at 2aef976). A full layer has n_ctx cells a sequence; a window
has min(n_ctx, w + n_ubatch) rounded up to 256; both states and convolutions are float32, one row a sequence.
"""

from __future__ import annotations

from attnprof.models.architecture import Architecture, SoftmaxMixer
from attnprof.models.caches import FLOAT32_BYTES, CacheAsk, bytes_of, token_width
from attnprof.plan.serving.allocation import EngineAnswer, PoolRow, ceil_div

SOURCE = "llama.cpp llama-kv-cache-iswa.cpp 02c28f5"
PAD = 256
UBATCH = 512
DEFAULTS = {
    "n_ubatch": "src/llama-context.cpp, llama_context_default_params",
    "swa_full": "src/llama-kv-cache-iswa.cpp 2aef976, swa_full warns that it is the full size",
    "streams": "src/llama-kv-cache-iswa.cpp 2aef976, unified",
}


def cells(mixer: SoftmaxMixer, n: int) -> int:
    """Cells of one sequence in one layer."""
    context = PAD * ceil_div(n, PAD)
    bound = mixer.window if mixer.window is not None else mixer.chunk
    return context if bound is None else PAD * ceil_div(min(context, bound + UBATCH), PAD)


def allocated(model: Architecture, ask: CacheAsk) -> EngineAnswer:
    """What llama.cpp allocates for sequences of n tokens, a stream each, with full offload and no `--swa-full`."""
    kinds: dict[tuple[str, int, int], int] = {}
    states, recurrences = 0, 0
    for layer in model:
        for mixer in layer.softmaxes:
            if mixer.indexer is not None or mixer.compression is not None:
                return EngineAnswer(
                    name="llamacpp", bytes=None, source=SOURCE, why="it has no layers with an indexer at this commit"
                )
            if mixer.kv_width:
                key = (mixer.kind, cells(mixer, ask.n), bytes_of(token_width(mixer, ask.tp), ask.kv))
                kinds[key] = kinds.get(key, 0) + 1
        for state in layer.recurrences:
            recurrences += 1
            columns = max(state.conv_kernel - 1, 0)
            states += FLOAT32_BYTES * (state.state_elements + state.conv_elements(columns))
    rows = [
        PoolRow(kind=kind, layers=count, tokens=held, bytes=ask.sequences * count * held * token)
        for (kind, held, token), count in kinds.items()
    ]
    if states:
        rows.append(PoolRow(kind="states", layers=recurrences, bytes=ask.sequences * ceil_div(states, ask.tp)))
    return EngineAnswer(
        name="llamacpp",
        bytes=sum(row.bytes for row in rows),
        source=SOURCE,
        assumptions={"n_ctx": PAD * ceil_div(ask.n, PAD), "n_ubatch": UBATCH, "swa_full": "no", "streams": "apart"},
        defaults=DEFAULTS,
        rows=tuple(rows),
    )
