"""vLLM's performance metrics: FLOPs of a step from tokens times context, in the forward.

Source: vllm/v1/metrics/perf.py at 00cee63, `AttentionMetrics` and `SlidingWindowAttentionParser`. Every hidden layer is
attention with the heads of the config; layers whose word has "sliding" in it read min(context, w). A prefill in one
chunk takes all of its tokens as every token's context; a decoding step is exact.
"""

from __future__ import annotations

from fractions import Fraction

from attnprof.models.architecture import Architecture
from attnprof.plan.frameworks.estimate import (
    FormulaSource,
    FrameworkEstimate,
    any_chosen,
    reasons_of,
    recurrences,
    softmaxes,
)

SOURCE = FormulaSource("vLLM metrics", "00cee63", "vllm/v1/metrics/perf.py AttentionMetrics")


def estimate(model: Architecture, n: int) -> FrameworkEstimate:
    """The core of a prefill of n tokens in one chunk, a token's share; the other parts are not re-derived."""
    if any_chosen(model):
        return FrameworkEstimate(
            source=SOURCE, forward=True, reasons=("its terms for keys that are chosen were not read",)
        )
    heads = softmaxes(model)
    if not heads:
        return FrameworkEstimate(source=SOURCE, forward=True, reasons=("the model has no attention heads",))
    core = Fraction(0)
    for layer in model:
        if layer.mixers:
            mixer = layer.softmaxes[0] if layer.softmaxes else heads[0]
            core += mixer.pair_flops * min(n, mixer.window or n)
    return FrameworkEstimate(
        source=SOURCE,
        core=core,
        forward=True,
        reasons=reasons_of(
            (True, "a prefill in one chunk takes n keys for every query: 2× on full layers, 1× when decoding"),
            (any(mixer.chunk is not None for mixer in heads), "chunks are not found: counted as full layers"),
            (bool(recurrences(model)), "layers without attention are counted as full attention"),
        ),
    )
