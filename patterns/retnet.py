"""A linear recurrence whose state fades at a fixed rate for each head."""

from attnprof.pattern import Card, Expr, Kernel, Param

CARD = Card(
    title="RetNet",
    bib="sun2023retnet",
    survey_class="linear recurrence",
    complexity_ours="O(n (C + d) d) a head by chunks of C",
    causality=(True,),
    kv_heads=False,
    v_head_dim=True,
    maths="own",
    rule="o_i = sum over j <= i of gamma^(i - j) (q_i . k_j) v_j, gamma = 1 - 2^(-5 - head)",
    edges_text="none: every past token has a weight; their matrix has rank d, and fades by gamma a token",
    paper_n=2048,
    notes=(
        "half the weight lies within ln 2 / (1 - gamma) tokens: 22 for head 0, 2,839 for head 7",
        "the paper's values are twice as wide as its keys, which makes its state twice d x d",
        "chunks are powers of two: any other size is rounded up to one",
        "no softmax: a group norm on every head takes the place of the normaliser",
    ),
    oracle="fla.ops.retention.naive",
)
PARAMS = {
    "chunk": Param(512, "512 (Sun et al. 2023)", least=1, most="n"),
}
EXAMPLES = ({"chunk": 16}, {"chunk": 1024})


def pattern(n: int, *, causal: bool, head: int, head_dim: int) -> Expr:
    """The past, through a state of d rows that fades."""
    return Kernel(head_dim, causal, 1 - 2.0 ** (-5 - head))


def flops_paper_step(n: int, *, dim: int, heads: int) -> int:
    """4 d^2 a head: a product into the state and one out of it (Sun et al. 2023, equation 6)."""
    return 4 * dim * (dim // heads)


def flops_paper(n: int, *, dim: int, heads: int, chunk: int) -> int:
    """4 n (C + d) D: within chunks and through the state (Sun et al. 2023), keys and values of one width."""
    return 4 * n * (chunk + dim // heads) * dim
