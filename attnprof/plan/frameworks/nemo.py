"""NeMo's flops_formulas by family: GPT-OSS by its pairs, Mixtral without the causal half, others with it.

Source: nemo/utils/flops_formulas.py and NeMo Automodel, by search. gpt_oss: pairs n(n + 1)/2 and of windows
w(w + 1)/2 + (n − w)·w, exact. mixtral: L·D²·(12 + 12·g/h + 18·k·I/D + 12·n/D + 6·V/(L·D)). The others have the causal
half of 12·n/D, and llama three matrices of the FFN (18·I/D); qwen2 takes as many KV heads as heads.
"""

from __future__ import annotations

from fractions import Fraction

from attnprof.models.architecture import Architecture
from attnprof.models.work import pairs
from attnprof.plan.frameworks.estimate import (
    NO_ROUTER,
    FormulaSource,
    FrameworkEstimate,
    ffn_weights,
    has_router,
    reasons_of,
    softmaxes,
)

SOURCE = FormulaSource("NeMo", "unpinned", "flops_formulas.py, by search")
HALVED = {"llama": True, "mistral": True, "qwen2": True, "mixtral": False}


def estimate(model: Architecture, n: int) -> FrameworkEstimate:
    """The family's rule. None for families that have none."""
    heads = softmaxes(model)
    if model.model_type == "gpt_oss":
        core = sum((Fraction(3 * pairs(mixer, n) * mixer.pair_flops, n) for mixer in heads), Fraction(0))
        total = core + 6 * model.head_weights
        total += sum(6 * (ffn_weights(layer) + sum(m.weights for m in layer.mixers)) for layer in model)
        return FrameworkEstimate(
            source=SOURCE,
            core=core,
            total=total,
            reasons=reasons_of((True, "exact core"), (has_router(model), NO_ROUTER)),
        )
    if model.model_type not in HALVED:
        return FrameworkEstimate(source=SOURCE, reasons=(f"it has no rule for {model.model_type}",))
    dim, mixer = model.dim, heads[0]
    halved = HALVED[model.model_type]
    keys = Fraction(n, 2) if halved else Fraction(n)
    core = Fraction(12 * dim * len(heads)) * keys
    groups = Fraction(1) if model.model_type == "qwen2" else Fraction(mixer.kv_heads, mixer.heads)
    projections = len(heads) * dim * dim * (12 + 12 * groups)
    total = projections + core + 6 * model.head_weights + sum(6 * ffn_weights(layer) for layer in model)
    return FrameworkEstimate(
        source=SOURCE,
        core=core,
        total=total,
        reasons=reasons_of(
            (halved, "n/2 keys a query, where a causal one reads (n + 1)/2: 1/n too low"),
            (not halved, "no causal half: 2× on the core"),
            (any(m.window is not None for m in heads), "windows are counted as full layers"),
            (mixer.heads * mixer.head_dim != dim, "heads are taken as wide as D together"),
            (groups != Fraction(mixer.kv_heads, mixer.heads), "as many KV heads as heads: projections too high"),
            (has_router(model), NO_ROUTER),
        ),
    )
