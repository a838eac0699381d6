"""PaLM (Chowdhery et al. 2022, appendix B) and nanoGPT's `estimate_mfu`: 6·N + 12·L·H·Q·T.

N are all parameters (nanoGPT leaves position embeddings out, of which none of these models has any), L all layers.
"""

from __future__ import annotations

from fractions import Fraction

from attnprof.models.architecture import Architecture
from attnprof.plan.frameworks.estimate import (
    CHOSEN_FULL,
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

SOURCE = FormulaSource("PaLM, nanoGPT", "arXiv:2204.02311", "appendix B; nanoGPT model.py estimate_mfu")


def estimate(model: Architecture, n: int) -> FrameworkEstimate:
    """6·N + 12·L·H·Q·T, with the widths of the model's first attention, a layer that mixes nothing left out."""
    heads = softmaxes(model)
    if not heads:
        return FrameworkEstimate(source=SOURCE, reasons=("the formula needs attention heads, and the model has none",))
    layers = sum(1 for layer in model if layer.mixers)
    core = Fraction(6 * layers * widths(heads[0]) * n)
    total = 6 * model.params + core
    return FrameworkEstimate(
        source=SOURCE,
        core=core,
        total=total,
        reasons=reasons_of(
            (True, TWICE),
            (any_bounded(model), WINDOWS_FULL),
            (any_chosen(model), CHOSEN_FULL),
            (bool(recurrences(model)), "layers without attention are counted as full attention"),
            (model.params != model.active_params, "every expert is counted as if each token met it"),
            (not model.tied, "the embedding table is counted as if it multiplied"),
        ),
    )
