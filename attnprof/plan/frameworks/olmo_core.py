"""OLMo-core: 6·parameters + 12·h·d·min(n, w) a layer of attention; recurrent layers are counted in the forward alone.

Source: src/olmo_core/nn/attention/__init__.py:791 and recurrent.py:286 at fa6c501. Gated DeltaNet: 2·weights + 2·K_c
channels + 8·h_v·d_k·d_v, without the factor 3 of a training step.
"""

from __future__ import annotations

from fractions import Fraction

from attnprof.models.architecture import Architecture
from attnprof.plan.frameworks.estimate import (
    CHOSEN_FULL,
    FormulaSource,
    FrameworkEstimate,
    any_chosen,
    reasons_of,
    recurrences,
    softmaxes,
    widths,
)

SOURCE = FormulaSource("OLMo-core", "fa6c501", "nn/attention/__init__.py:791, recurrent.py:286")
KNOWN = {"gated_deltanet", "kda"}


def estimate(model: Architecture, n: int) -> FrameworkEstimate:
    """Sums over the layers. None for recurrences that it does not have."""
    strange = sorted({mixer.kind for mixer in recurrences(model)} - KNOWN)
    if strange:
        return FrameworkEstimate(source=SOURCE, reasons=(f"it has no layers of {', '.join(strange)}",))
    core = Fraction(6 * sum(widths(mixer) * min(n, mixer.window or n) for mixer in softmaxes(model)))
    states = recurrences(model)
    weights = sum(mixer.weights + mixer.conv_kernel * mixer.conv_channels for mixer in states)
    forward_only = 2 * weights + 8 * sum(mixer.state_elements for mixer in states)
    embeddings = model.embedding_params - (model.head_weights if model.tied else 0)
    total = 6 * (model.active_params - embeddings - weights) + core + forward_only
    return FrameworkEstimate(
        source=SOURCE,
        core=core,
        total=total,
        reasons=reasons_of(
            (any(m.window is None for m in softmaxes(model)), "full layers are counted against all n keys: 2×"),
            (any(m.window is not None for m in softmaxes(model)), "windows are counted at w keys: near 1×"),
            (any_chosen(model), CHOSEN_FULL),
            (bool(states), "recurrent layers are counted in the forward alone, and with 8·d_k·d_v for 6: 3× too low"),
        ),
    )
