"""A linear recurrence that corrects its state: what a key stored before is replaced, not added to."""

from attnprof.pattern import Card, Expr, Kernel, Param

CARD = Card(
    title="DeltaNet",
    bib="yang2024deltanet",
    survey_class="linear recurrence",
    complexity_ours="O(n (C + d) d + n C^2) a head by chunks of C",
    causality=(True,),
    decode=True,
    kv_heads=False,
    maths="own",
    rule="S_t = S_(t-1) (I - beta_t k_t k_t^T) + beta_t v_t k_t^T, |k_t| = 1, beta_t in (0, 1)",
    edges_text="none: every past token has a weight; their matrix has rank d",
    paper_n=2048,
    notes=(
        "nothing fades by itself: a token is forgotten where later keys point the same way",
        "chunks need the inverse of a unit triangular matrix each: about n C^2 / 3 FLOPs a head",
    ),
    oracle="fla.ops.delta_rule.naive",
)
PARAMS = {
    "chunk": Param(64, "64 (Yang et al. 2024)", least=1, most="n"),
}


def pattern(n: int, *, causal: bool, head_dim: int) -> Expr:
    """The past, through a state of d rows."""
    return Kernel(head_dim, causal)


def flops_paper(n: int, *, dim: int, heads: int, chunk: int) -> int:
    """Products within a chunk, the triangular inverse, and the state (Yang et al. 2024)."""
    d, c = dim // heads, chunk
    return heads * (10 * n * c * d + n * c * c // 3 + 6 * n * d * d)
