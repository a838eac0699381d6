"""SGLang: a pool of tokens for full layers, one for windows, one of states.

Source: srt/model_executor/model_runner_kv_cache_mixin.py at 001ccef. The pool of windows has `swa_full_tokens_ratio`
times the tokens of the full one, whatever the window is. A token takes g·(d + d_v) elements a layer, r_kv + d_r of
latent attention, and d_i + 4·d_i/128 bytes of an indexer. States: slots a running sequence, 3 where prefixes are cached
in a radix tree, 1 where they are not.
"""

from __future__ import annotations

from fractions import Fraction

from attnprof.models.architecture import Architecture, SoftmaxMixer
from attnprof.models.caches import CacheAsk, bytes_of, recurrent_bytes, token_width
from attnprof.plan.serving.allocation import EngineAnswer, PoolRow

SOURCE = "SGLang model_runner_kv_cache_mixin.py 001ccef"
PAGE = 1
SWA_RATIO = Fraction(4, 5)
SLOTS_WITH_RADIX = 3
DEFAULTS = {
    "page": "docs/advanced_features/server_arguments.md 004813e, --page-size",
    "swa_full_tokens_ratio": "docs/advanced_features/server_arguments.md 004813e, --swa-full-tokens-ratio",
    "state_slots_a_sequence": "model_runner_kv_cache_mixin.py 226149a, MAMBA_CACHE_SIZE_MAX_RUNNING_REQUESTS_RATIO "
    "(a radix cache, no extra buffer)",
}


def allocated(model: Architecture, ask: CacheAsk) -> EngineAnswer:
    """What SGLang's pools take when the full one holds `ask.sequences` sequences of n tokens."""
    if model.model_type == "deepseek_v4":
        return EngineAnswer(name="sglang", bytes=None, source=SOURCE, why="pooled entries are not read at this commit")
    full: list[int] = []
    windowed: list[int] = []
    states = 0
    for layer in model:
        for mixer in layer.softmaxes:
            if mixer.kv_width:
                bounded = mixer.window is not None or mixer.chunk is not None
                (windowed if bounded else full).append(_cell(mixer, ask))
        states += sum(recurrent_bytes(mixer, ask.dtype, tp=ask.tp) for mixer in layer.recurrences)
    tokens = ask.n * ask.sequences
    alone = not full
    window_tokens = tokens if alone else int(SWA_RATIO * tokens)
    rows = [
        PoolRow(kind=kind, layers=len(cells), tokens=held, bytes=held * sum(cells))
        for kind, cells, held in (("full", full, tokens), ("window", windowed, window_tokens))
        if cells
    ]
    slots = ask.sequences * SLOTS_WITH_RADIX
    if states:
        count = sum(len(layer.recurrences) for layer in model)
        rows.append(PoolRow(kind="states", layers=count, bytes=slots * states))
    return EngineAnswer(
        name="sglang",
        bytes=sum(row.bytes for row in rows),
        source=SOURCE,
        assumptions={
            "page": PAGE,
            "swa_full_tokens_ratio": float(SWA_RATIO),
            "state_slots_a_sequence": SLOTS_WITH_RADIX,
        },
        defaults=DEFAULTS,
        rows=tuple(rows),
    )


def _cell(mixer: SoftmaxMixer, ask: CacheAsk) -> int:
    """Bytes of one token in one layer."""
    width = token_width(mixer, ask.tp)
    if mixer.indexer is None or not mixer.indexer.scored:
        return bytes_of(width, ask.kv)
    index = mixer.indexer.dim
    return bytes_of(width - index, ask.kv) + index + 4 * (index // 128)  # a whole division there
