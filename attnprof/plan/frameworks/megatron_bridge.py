"""Megatron-Bridge: windows by their exact average, full layers at n/2 keys, pooled entries of DeepSeek-V4.

Source: src/megatron/bridge/training/utils/flop_utils.py:617 at 067f987; the terms below were read at 0494433. A window
reads w − w·(w − 1)/(2n) keys on average, which is exact; Gated DeltaNet is as in Megatron-LM. DeepSeek-V4: every layer
reads the whole window, and of pooled entries ⌊n/128⌋/2, or k·(1 − 4k/(2n)) with k = min(top, ⌊n/4⌋); one product with
the width of a value for both score and sum.
"""

from __future__ import annotations

from fractions import Fraction

from attnprof.models.architecture import Architecture, SoftmaxMixer
from attnprof.plan.frameworks import megatron_hybrid
from attnprof.plan.frameworks.estimate import (
    NO_ROUTER,
    FormulaSource,
    FrameworkEstimate,
    has_router,
    reasons_of,
    recurrences,
    softmaxes,
)
from attnprof.plan.frameworks.megatron_lm import DELTA, WIDE_VALUES, core_keys, matrices

SOURCE = FormulaSource("Megatron-Bridge", "067f987", "training/utils/flop_utils.py:617")


def keys(mixer: SoftmaxMixer, n: int) -> Fraction:
    """Keys that they take a query to read on average."""
    w = mixer.window
    if w is not None and w < n:
        return w - Fraction(w * (w - 1), 2 * n)
    return Fraction(n, 2)


def estimate(model: Architecture, n: int) -> FrameworkEstimate:
    """The transformer path; hybrids with Mamba layers as in Megatron-LM."""
    kinds = {mixer.kind for mixer in recurrences(model)}
    if "mamba2" in kinds:
        found = megatron_hybrid.estimate(model, n)
        return FrameworkEstimate(source=SOURCE, core=found.core, total=found.total, reasons=found.reasons)
    if kinds - {"gated_deltanet"}:
        return FrameworkEstimate(source=SOURCE, reasons=(f"layers of {', '.join(sorted(kinds))} have no term",))
    if any(mixer.compression is not None for mixer in softmaxes(model)):
        return FrameworkEstimate(source=SOURCE, core=_pooled_core(model, n), reasons=POOLED)
    if any(mixer.indexer is not None for mixer in softmaxes(model)):
        return FrameworkEstimate(source=SOURCE, reasons=("its terms for keys that are chosen were not read",))
    core = sum((core_keys(mixer, keys(mixer, n)) for mixer in softmaxes(model)), Fraction(0))
    total = core + matrices(model)
    full = [mixer for mixer in softmaxes(model) if mixer.window is None]
    return FrameworkEstimate(
        source=SOURCE,
        core=core,
        total=total,
        reasons=reasons_of(
            (any(mixer.window is not None for mixer in softmaxes(model)), "windows are exact"),
            (bool(full), "full layers read n/2 keys, where they are (n + 1)/2: 1/n too low"),
            (any(mixer.chunk is not None for mixer in softmaxes(model)), "chunks are counted as full layers"),
            (any(m.head_dim != m.v_head_dim and m.latent is None for m in softmaxes(model)), WIDE_VALUES),
            (bool(recurrences(model)), DELTA),
            (has_router(model), NO_ROUTER),
        ),
    )


def _pooled_core(model: Architecture, n: int) -> Fraction:
    """DeepSeek-V4's sparse attention: the width of a value, times 2, for score and sum together."""
    total = Fraction(0)
    for mixer in softmaxes(model):
        assert mixer.compression is not None
        assert mixer.window is not None
        rate = mixer.compression.rate
        if mixer.indexer is None:
            read = Fraction(n // rate, 2)
        else:
            chosen = min(mixer.indexer.top, n // rate)
            read = chosen * (1 - Fraction(chosen * rate, 2 * n))
        total += 6 * mixer.heads * (mixer.window + read) * mixer.v_head_dim * 2
    return total


POOLED = (
    "every query is counted with a whole window, also the first ones",
    "⌊n/rate⌋/2 pooled entries a query, where it is Σ⌊i/rate⌋/n",
    "the whole model's figure is not re-derived here",
)
