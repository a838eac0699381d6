"""Frameworks: what each one's formula says a model costs, one file each, with its source; and how far that is off."""

from __future__ import annotations

from attnprof.plan.frameworks import (
    hf_trainer,
    megatron_bridge,
    megatron_hybrid,
    megatron_lm,
    nemo,
    olmo_core,
    palm,
    torchtitan,
    vllm_metrics,
)
from attnprof.plan.frameworks.estimate import FrameworkFormula

FORMULAS: tuple[FrameworkFormula, ...] = (
    palm.estimate,
    torchtitan.estimate,
    torchtitan.later,
    megatron_lm.estimate,
    megatron_hybrid.estimate,
    megatron_bridge.estimate,
    olmo_core.estimate,
    nemo.estimate,
    hf_trainer.estimate,
    vllm_metrics.estimate,
)
