"""The delta rule with a gate: the state is corrected, and fades at a rate that the input sets."""

import numpy as np

from attnprof.pattern import Card, Expr, Kernel

CARD = Card(
    title="Gated DeltaNet",
    bib="yang2025gated",
    survey_class="linear recurrence",
    complexity="",
    complexity_ours="O(n (C + d) d + n C^2) a head by chunks of C",
    causality=(True,),
    decode=True,
    kv_heads=False,
    maths="own",
    rule="S_t = alpha_t S_(t-1) (I - beta_t k_t k_t^T) + beta_t v_t k_t^T, |k_t| = 1",
    edges_text="none: every past token has a weight; their matrix has rank d, and fades with the input",
    paper_n=4096,
    notes=(
        "the decay depends on the data: drawn here as at the start of training, alpha = exp(-A dt), A uniform in "
        "[1, 16] and dt log-uniform in [0.001, 0.1], one for each head",
        "chunks need the inverse of a unit triangular matrix each: about n C^2 / 3 FLOPs a head",
    ),
    sources={"chunk": "64 (Yang et al. 2025)"},
    oracle="fla.ops.gated_delta_rule.naive",
)


def resolve(n: int, *, chunk: int = 64) -> dict[str, int]:
    """No chunk longer than the sequence."""
    return {"chunk": min(chunk, n)}


def pattern(
    n: int,
    *,
    causal: bool = True,
    layer: int = 0,
    head: int = 0,
    seed: int = 0,
    head_dim: int = 64,
    chunk: int = 64,
) -> Expr:
    """The past, through a state of d rows that fades as it does before training."""
    draw = np.random.default_rng([seed, layer, head])
    rate = draw.uniform(1, 16) * np.exp(draw.uniform(np.log(0.001), np.log(0.1)))
    return Kernel(head_dim, causal, float(np.exp(-rate)))


def flops_paper(n: int, *, dim: int, heads: int, chunk: int = 64) -> int:
    """Products within a chunk, the triangular inverse, and the state (Yang et al. 2025)."""
    d, c = dim // heads, min(chunk, n)
    return heads * (10 * n * c * d + n * c * c // 3 + 6 * n * d * d)
