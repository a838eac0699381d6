"""The delta rule on a state that fades channel by channel, at rates that the input sets."""

from attnprof.pattern import Card, Expr, Kernel, Param, fading_at_start

CARD = Card(
    title="Kimi Delta Attention",
    bib="kimi2025linear",
    survey_class="linear recurrence",
    complexity_ours="O(n (C + d) d) a head by chunks of C",
    causality=(True,),
    kv_heads=False,
    v_head_dim=True,
    maths="own",
    rule="S_t = (I - beta_t k_t k_t^T) diag(alpha_t) S_(t-1) + beta_t k_t v_t^T, |k_t| = 1, alpha_t a vector",
    edges_text="none: every past token has a weight; their matrix has rank d, and fades with the input",
    paper_n=4096,
    notes=(
        "the decay depends on the data: drawn here as at the start of training, alpha = exp(-A dt), A uniform in "
        "[1, 16] and dt log-uniform in [0.001, 0.1], one for each head (and channel)",
        "gates of channels: e^-g overflows within a chunk, so blocks of 1, 2, 4, ... rows meet at their borders, and "
        "no exponent is positive",
        "hidden: the corrections of a chunk need the inverse of a unit triangular matrix, n C^2 / 3 FLOPs a head by "
        "itself; here they are solved for, n C (d_k + d_v), in float32 at least: a counter may see none of it",
        "Kimi Linear puts one layer of MLA without positions after every three of these",
        "chunks are powers of two: any other size is rounded up to one",
    ),
    oracle="fla.ops.kda.naive",
)
PARAMS = {
    "conv": Param(4, "4 tokens (the released configuration)", least=1),
    "chunk": Param(64, "64 (the released kernel)", least=1, most="n"),
}
EXAMPLES = ({"chunk": 16},)


def pattern(n: int, *, causal: bool, layer: int, head: int, seed: int, head_dim: int) -> Expr:
    """The past, through a state of d rows that fades as it does before training."""
    return Kernel(head_dim, causal, fading_at_start(seed, layer, head))
