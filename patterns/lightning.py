"""Linear attention that fades at a fixed rate for each head, computed block by block."""

from math import exp

from attnprof.pattern import Card, Expr, Kernel, Param

CARD = Card(
    title="Lightning attention",
    bib="qin2024lightning",
    survey_class="linear recurrence",
    complexity_ours="O(n (B + d) d) a head by blocks of B",
    causality=(True,),
    kv_heads=False,
    v_head_dim=True,
    maths="own",
    rule="o_i = sum over j <= i of lambda^(i - j) (q_i . k_j) v_j, lambda = exp(-2^(-8 (head + 1) / heads))",
    edges_text="none: every past token has a weight; their matrix has rank d, and fades by lambda a token",
    paper_n=2048,
    notes=(
        "no softmax and no normaliser: SiLU on q, k and v, a norm over the output, and a gate",
        "blocks are powers of two: any other size is rounded up to one",
        "MiniMax-01 puts one softmax layer after every seven of these, and fades less in higher layers",
    ),
    oracle="fla.ops.simple_gla.naive",
)
PARAMS = {
    "block": Param(256, "256 (MiniMax 2025, the released configuration; Qin et al. 2024)", least=1, most="n"),
}
EXAMPLES = ({"block": 16},)


def pattern(n: int, *, causal: bool, head: int, heads: int, head_dim: int) -> Expr:
    """The past, through a state of d rows that fades."""
    return Kernel(head_dim, causal, exp(-(2 ** (-8 * (head + 1) / heads))))


def flops_paper_step(n: int, *, dim: int, heads: int) -> int:
    """4 d^2 a head (Qin et al. 2024, equation 4)."""
    return 4 * dim * (dim // heads)


def flops_paper(n: int, *, dim: int, heads: int, block: int) -> int:
    """4 n (B + d) D: within blocks and through the state (Qin et al. 2024)."""
    return 4 * n * (block + dim // heads) * dim
