"""Megatron-LM, the hybrid path: attention, Mamba-2, Gated DeltaNet, MLP and experts as layers of a pattern.

Source: megatron/training/training.py `hybrid_flops` at d98e8a6; the same terms were read at 001b00c. A Mamba layer is
2·D·(2·d_in + 2·G·N + H) + 7·d_in·N + 2·d_in·D with d_in = 2·D, whatever its heads are; attention reads n/2 keys.
"""

from __future__ import annotations

from fractions import Fraction

from attnprof.models.architecture import Architecture, RecurrentMixer
from attnprof.plan.frameworks.estimate import (
    NO_ROUTER,
    WINDOWS_FULL,
    FormulaSource,
    FrameworkEstimate,
    any_bounded,
    any_chosen,
    ffn_weights,
    has_router,
    reasons_of,
    recurrences,
    softmaxes,
)
from attnprof.plan.frameworks.megatron_lm import core_keys, gated_delta

SOURCE = FormulaSource("Megatron-LM, hybrid", "d98e8a6", "megatron/training/training.py hybrid_flops")
KNOWN = {"mamba2", "gated_deltanet"}


def mamba(mixer: RecurrentMixer, dim: int) -> Fraction:
    """Train FLOPs of a token in a Mamba layer, as they have them."""
    inner, state = 2 * dim, mixer.key_dim
    groups = (mixer.conv_channels - mixer.heads * mixer.value_dim) // (2 * state)
    into = 2 * dim * (2 * inner + 2 * groups * state + mixer.heads)
    return Fraction(3 * (into + 7 * inner * state + 2 * inner * dim))


def estimate(model: Architecture, n: int) -> FrameworkEstimate:
    """Sums over the layers. None for models that are not of such layers."""
    kinds = {mixer.kind for mixer in recurrences(model)}
    if "mamba2" not in kinds or kinds - KNOWN:
        return FrameworkEstimate(source=SOURCE, reasons=("this path is taken by hybrids with Mamba-2 layers alone",))
    if any_chosen(model) or any(mixer.latent is not None for mixer in softmaxes(model)):
        return FrameworkEstimate(source=SOURCE, reasons=("this path has no latent or sparse attention",))
    core = sum((core_keys(mixer, Fraction(n, 2)) for mixer in softmaxes(model)), Fraction(0))
    total = core + 6 * model.head_weights
    for layer in model:
        total += 6 * (ffn_weights(layer) + sum(mixer.weights for mixer in layer.softmaxes))
        for mixer in layer.recurrences:
            total += mamba(mixer, model.dim) if mixer.kind == "mamba2" else sum(gated_delta(mixer, model.dim))
    inner = [mixer.heads * mixer.value_dim for mixer in recurrences(model) if mixer.kind == "mamba2"]
    return FrameworkEstimate(
        source=SOURCE,
        core=core,
        total=total,
        reasons=reasons_of(
            (bool(softmaxes(model)), "n/2 keys a query, where a causal one reads (n + 1)/2: 1/n too low"),
            (any_bounded(model), WINDOWS_FULL),
            (any(width != 2 * model.dim for width in inner), "the inner width is taken as 2·D, which it is not"),
            (True, "7·d_in·N for the 4 products with the state; the convolution is not counted"),
            (has_router(model), NO_ROUTER),
        ),
    )
