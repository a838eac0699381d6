"""Engines: what each allocates for sequences of a model, one file each, each with its source and its assumptions."""

from __future__ import annotations

from attnprof.models.architecture import Architecture
from attnprof.models.caches import CacheAsk
from attnprof.plan.serving import llamacpp_cells, sglang_pools, tensorrt_shares, transformers_cache, vllm_blocks
from attnprof.plan.serving.allocation import EngineAnswer, EngineRule

ENGINES: tuple[EngineRule, ...] = (
    vllm_blocks.allocated,
    sglang_pools.allocated,
    llamacpp_cells.allocated,
    transformers_cache.allocated,
    tensorrt_shares.allocated,
)


def engine_answers(model: Architecture, ask: CacheAsk) -> tuple[EngineAnswer, ...]:
    """What every engine allocates."""
    return tuple(rule(model, ask) for rule in ENGINES)
