"""Megatron-LM, the transformer path: n/2 keys in every layer; Gated DeltaNet by its own terms.

Source: megatron/training/training.py:802 (`transformer_flops`) at d98e8a6; the same terms were read at 001b00c.
Attention: 6·(D·(q + k + v + gate) + q·D) + 6·q·n, with q = h·d for the values too; latent attention by its own widths.
Gated DeltaNet: 6·(D·(2K + 2V + 2h_v) + K_c·(2K + V) + 4·h_v·d_v² + D·V). No window, no router.
"""

from __future__ import annotations

from fractions import Fraction

from attnprof.models.architecture import Architecture, RecurrentMixer, SoftmaxMixer
from attnprof.plan.frameworks.estimate import (
    CHOSEN_FULL,
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

SOURCE = FormulaSource("Megatron-LM", "d98e8a6", "megatron/training/training.py:802 transformer_flops")


def core_keys(mixer: SoftmaxMixer, n: Fraction) -> Fraction:
    """Train FLOPs of a token that is counted against so many keys: values as wide as keys, but for latent attention."""
    value = mixer.v_head_dim if mixer.latent is not None else mixer.head_dim
    return 6 * mixer.heads * (mixer.head_dim + value) * n


def gated_delta(mixer: RecurrentMixer, dim: int) -> tuple[Fraction, Fraction]:
    """Train FLOPs of a Gated DeltaNet layer: its products with the state as they have them, and everything else."""
    values = mixer.heads * mixer.value_dim
    state = 6 * 4 * mixer.heads * mixer.value_dim**2
    rest = 6 * (mixer.weights + mixer.conv_kernel * mixer.conv_channels)
    assert values * dim <= mixer.weights
    return Fraction(state), Fraction(rest)


def matrices(model: Architecture) -> Fraction:
    """Train FLOPs of a token outside the core: projections, FFN, head, and Gated DeltaNet by its own terms."""
    total = Fraction(6 * model.head_weights)
    for layer in model:
        total += 6 * (ffn_weights(layer) + sum(mixer.weights for mixer in layer.softmaxes))
        total += sum((sum(gated_delta(mixer, model.dim)) for mixer in layer.recurrences), Fraction(0))
    return total


def estimate(model: Architecture, n: int) -> FrameworkEstimate:
    """Every attention at n/2 keys. None where a layer is neither attention nor Gated DeltaNet."""
    strange = sorted({mixer.kind for mixer in recurrences(model)} - {"gated_deltanet"})
    if strange:
        return FrameworkEstimate(source=SOURCE, reasons=(f"this path refuses layers of {', '.join(strange)}",))
    if any(mixer.compression is not None for mixer in softmaxes(model)):
        return FrameworkEstimate(source=SOURCE, reasons=("this path has no pooled entries",))
    core = sum((core_keys(mixer, Fraction(n, 2)) for mixer in softmaxes(model)), Fraction(0))
    total = core + matrices(model)
    return FrameworkEstimate(
        source=SOURCE,
        core=core,
        total=total,
        reasons=reasons_of(
            (bool(softmaxes(model)), "n/2 keys a query, where a causal one reads (n + 1)/2: 1/n too low"),
            (any_bounded(model), WINDOWS_FULL),
            (any_chosen(model), CHOSEN_FULL),
            (any(m.head_dim != m.v_head_dim and m.latent is None for m in softmaxes(model)), WIDE_VALUES),
            (bool(recurrences(model)), DELTA),
            (has_router(model), NO_ROUTER),
        ),
    )


WIDE_VALUES = "values are counted as wide as keys"
DELTA = "Gated DeltaNet is counted with 8·d_v² for 6·d_k·d_v: 4/3 at d_k = d_v"
