"""The delta rule with a gate: the state is corrected, and fades at a rate that the input sets."""

from attnprof.pattern import Card, Expr, Kernel, Param, fading_at_start

CARD = Card(
    title="Gated DeltaNet",
    bib="yang2025gated",
    survey_class="linear recurrence",
    complexity_ours="O(n (C + d) d) a head by chunks of C",
    causality=(True,),
    kv_heads=False,
    v_head_dim=True,
    maths="own",
    rule="S_t = alpha_t S_(t-1) (I - beta_t k_t k_t^T) + beta_t v_t k_t^T, |k_t| = 1",
    edges_text="none: every past token has a weight; their matrix has rank d, and fades with the input",
    paper_n=4096,
    notes=(
        "the decay depends on the data: drawn here as at the start of training, alpha = exp(-A dt), A uniform in "
        "[1, 16] and dt log-uniform in [0.001, 0.1], one for each head",
        "the paper's values are twice as wide as its keys: --v-head-dim",
        "hidden: the corrections of a chunk need the inverse of a unit triangular matrix, n C^2 / 3 FLOPs a head by "
        "itself; here they are solved for, n C (d_k + d_v), in float32 at least: a counter may see none of it",
        "keys must have length 1: beside, I - beta k k^T may grow what it should correct",
        "chunks are powers of two: any other size is rounded up to one",
    ),
    oracle="fla.ops.gated_delta_rule.naive",
)
PARAMS = {
    "key_heads": Param(0, "0: as many as heads of values (Yang et al. 2025); half as many in Qwen3-Next"),
    "conv": Param(4, "4 tokens (Yang et al. 2025, section 3.4)", least=1),
    "chunk": Param(64, "64 (Yang et al. 2025)", least=1, most="n"),
}
EXAMPLES = ({"chunk": 16}, {"chunk": 16, "key_heads": 1})


def pattern(n: int, *, causal: bool, layer: int, head: int, seed: int, head_dim: int) -> Expr:
    """The past, through a state of d rows that fades as it does before training."""
    return Kernel(head_dim, causal, fading_at_start(seed, layer, head))


def flops_paper_step(n: int, *, dim: int, heads: int) -> int:
    """6 d^2 a head: read what the key stored, write the difference, read (Yang et al. 2025, equation 10)."""
    return 6 * dim * (dim // heads)


def flops_paper(n: int, *, dim: int, heads: int, chunk: int) -> int:
    """Products within a chunk, the triangular inverse, and the state (Yang et al. 2025)."""
    d, c = dim // heads, chunk
    return heads * (10 * n * c * d + n * c * c // 3 + 6 * n * d * d)
