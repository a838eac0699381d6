"""A linear recurrence whose state fades by gates that the input sets, one for each channel of the keys."""

from attnprof.pattern import Card, Expr, Kernel, Param

CARD = Card(
    title="Gated linear attention",
    bib="yang2024gla",
    survey_class="linear recurrence",
    complexity_ours="O(n (C + d) d) a head by chunks of C",
    causality=(True,),
    kv_heads=False,
    v_head_dim=True,
    maths="own",
    rule="S_t = diag(alpha_t) S_(t-1) + k_t^T v_t, o_t = q_t S_t, alpha_t = sigmoid(x_t W1 W2)^(1/16)",
    edges_text="none: every past token has a weight; their matrix has rank d / 2, and fades with the input",
    paper_n=2048,
    notes=(
        "the decay depends on the data: drawn here as that of a gate at 0, 0.5^(1/16) = 0.958 a token",
        "keys are half as wide as values, so the state has d / 2 rows of d",
        "decays within a chunk span many magnitudes: here blocks of 1, 2, 4, ... rows meet at their borders, and no "
        "exponent is positive; the paper's second level of chunks of 16 computes the diagonal ones pair by pair",
        "chunks are powers of two: any other size is rounded up to one",
    ),
    oracle="fla.ops.gla.naive",
)
PARAMS = {
    "chunk": Param(64, "64, with sub-chunks of 16 (Yang et al. 2024)", least=1, most="n"),
}
EXAMPLES = ({"chunk": 16},)


def pattern(n: int, *, causal: bool, head_dim: int) -> Expr:
    """The past, through a state of d / 2 rows that fades as a gate at 0 makes it."""
    return Kernel(max(head_dim // 2, 1), causal, 0.5 ** (1 / 16))


def flops_paper_step(n: int, *, dim: int, heads: int) -> int:
    """4 d_k d_v a head with d_k = d / 2 (Yang et al. 2024, equation 3)."""
    d = dim // heads
    return heads * 4 * (d // 2) * d


def flops_paper(n: int, *, dim: int, heads: int, chunk: int) -> int:
    """2 n C (d_k + d_v) + 4 n d_k d_v a head with d_k = d / 2 (Yang et al. 2024)."""
    d = dim // heads
    return heads * (2 * n * chunk * (d // 2 + d) + 4 * n * (d // 2) * d)
