"""A linear recurrence that corrects its state: what a key stored before is replaced, not added to."""

from attnprof.pattern import Card, Expr, Kernel, Param

CARD = Card(
    title="DeltaNet",
    bib="yang2024deltanet",
    survey_class="linear recurrence",
    complexity_ours="O(n (C + d) d) a head by chunks of C",
    causality=(True,),
    kv_heads=False,
    v_head_dim=True,
    maths="own",
    rule="S_t = S_(t-1) (I - beta_t k_t k_t^T) + beta_t v_t k_t^T, |k_t| = 1, beta_t in (0, 1)",
    edges_text="none: every past token has a weight; their matrix has rank d",
    paper_n=2048,
    notes=(
        "nothing fades by itself: a token is forgotten where later keys point the same way",
        "hidden: the corrections of a chunk need the inverse of a unit triangular matrix, n C^2 / 3 FLOPs a head by "
        "itself; here they are solved for, n C (d_k + d_v), in float32 at least: a counter may see none of it",
        "keys must have length 1: beside, I - beta k k^T may grow what it should correct",
        "chunks are powers of two: any other size is rounded up to one",
    ),
    oracle="fla.ops.delta_rule.naive",
)
PARAMS = {
    "conv": Param(4, "4 tokens (Yang et al. 2024, section 3.4)", least=1),
    "chunk": Param(64, "64 (Yang et al. 2024)", least=1, most="n"),
}
EXAMPLES = ({"chunk": 16}, {"chunk": 1024})


def pattern(n: int, *, causal: bool, head_dim: int) -> Expr:
    """The past, through a state of d rows."""
    return Kernel(head_dim, causal)


def flops_paper_step(n: int, *, dim: int, heads: int) -> int:
    """6 d^2 a head: read what the key stored, write the difference, read (Yang et al. 2024, section 2.2)."""
    return 6 * dim * (dim // heads)


def flops_paper(n: int, *, dim: int, heads: int, chunk: int) -> int:
    """Products within a chunk, the triangular inverse, and the state (Yang et al. 2024)."""
    d, c = dim // heads, chunk
    return heads * (10 * n * c * d + n * c * c // 3 + 6 * n * d * d)
