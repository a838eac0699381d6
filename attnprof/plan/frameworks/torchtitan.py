"""torchtitan: 6·(parameters that multiply) + 6·h·(d_qk + d_v)·n a layer with attention.

Source: torchtitan/models/utils.py:412 and 462 at b5bcd76 (windows as full layers), and the same file at 01c01c8, whose
`quadratic_attention_flops_per_token` takes min(n, w) keys and whose `delta_rule_flops_per_token` adds 6·3·h·d_k·d_v.
Embeddings are left out unless they are the head too; experts count by top-k of E.
"""

from __future__ import annotations

from fractions import Fraction

from attnprof.models.architecture import Architecture
from attnprof.plan.frameworks.estimate import (
    CHOSEN_FULL,
    NO_RECURRENCE,
    TWICE,
    WINDOWS_FULL,
    FormulaSource,
    FrameworkEstimate,
    any_bounded,
    any_chosen,
    reasons_of,
    recurrences,
    softmaxes,
    widths,
)

SOURCE = FormulaSource("torchtitan", "b5bcd76", "torchtitan/models/utils.py:412,462")
LATER = FormulaSource("torchtitan, later", "01c01c8", "torchtitan/models/utils.py quadratic_attention_flops_per_token")
DELTA_RULES = ("gated_deltanet", "kda")


def _matrix_flops(model: Architecture) -> Fraction:
    embeddings = model.embedding_params - (model.head_weights if model.tied else 0)
    return Fraction(6 * (model.active_params - embeddings))


def estimate(model: Architecture, n: int) -> FrameworkEstimate:
    """As at b5bcd76: windows are full layers, recurrences are their parameters."""
    core = Fraction(6 * n * sum(widths(mixer) for mixer in softmaxes(model)))
    return FrameworkEstimate(
        source=SOURCE,
        core=core,
        total=_matrix_flops(model) + core,
        reasons=reasons_of(
            (bool(softmaxes(model)), TWICE),
            (any_bounded(model), WINDOWS_FULL),
            (any_chosen(model), CHOSEN_FULL),
            (bool(recurrences(model)), NO_RECURRENCE),
        ),
    )


def later(model: Architecture, n: int) -> FrameworkEstimate:
    """As at 01c01c8: min(n, w) keys in a window, products of delta rules."""
    core = Fraction(6 * sum(widths(mixer) * min(n, mixer.window or n) for mixer in softmaxes(model)))
    states = [mixer for mixer in recurrences(model) if mixer.kind in DELTA_RULES]
    recurrence = 18 * sum(mixer.state_elements for mixer in states)
    other = [mixer for mixer in recurrences(model) if mixer.kind not in DELTA_RULES and mixer.flops]
    return FrameworkEstimate(
        source=LATER,
        core=core,
        total=_matrix_flops(model) + core + recurrence,
        reasons=reasons_of(
            (bool(softmaxes(model)), "full layers are counted against all n keys: 2× on their core"),
            (any_bounded(model), "windows are counted at min(n, w) keys: near 1× for n far above w"),
            (any(mixer.chunk is not None for mixer in softmaxes(model)), "chunks are counted as full layers"),
            (any_chosen(model), CHOSEN_FULL),
            (bool(other), NO_RECURRENCE),
        ),
    )
