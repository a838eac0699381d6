"""The delta rule with a gate: the state is corrected, and fades at a rate that the input sets."""

from attnprof.pattern import Card, Expr, Kernel, Param, fading_at_start

CARD = Card(
    title="Gated DeltaNet",
    bib="yang2025gated",
    survey_class="linear recurrence",
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
    oracle="fla.ops.gated_delta_rule.naive",
)
PARAMS = {
    "chunk": Param(64, "64 (Yang et al. 2025)", least=1, most="n"),
}


def pattern(n: int, *, causal: bool, layer: int, head: int, seed: int, head_dim: int) -> Expr:
    """The past, through a state of d rows that fades as it does before training."""
    return Kernel(head_dim, causal, fading_at_start(seed, layer, head))


def flops_paper(n: int, *, dim: int, heads: int, chunk: int) -> int:
    """Products within a chunk, the triangular inverse, and the state (Yang et al. 2025)."""
    d, c = dim // heads, chunk
    return heads * (10 * n * c * d + n * c * c // 3 + 6 * n * d * d)
