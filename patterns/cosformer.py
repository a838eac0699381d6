"""Linear attention whose weights fall with the distance, by a cosine that splits into two products."""

from attnprof.pattern import Card, Expr, Kernel, Param

CARD = Card(
    title="cosFormer",
    bib="qin2022cosformer",
    survey_class="",
    complexity_ours="O(n d^2); causal by chunks of C: O(n d^2 + n C d), all of it products",
    causality=(False, True),
    maths="own",
    rule="relu(q_i) . relu(k_j) cos(pi (i - j) / (2 M)), over their sum; causal: j <= i",
    edges_text="none: a weight is zero only where no feature of query and key is positive in both; their rank is 2 d",
    notes=(
        "cos(a - b) = cos a cos b + sin a sin b: 2 d features, two to each channel",
        "M is the longest sequence: beyond it weights become negative; decoding keeps the M that it began with",
        "relu can zero every weight of a row: the sum is kept from 0 by 1e-6, and such a row gives 0",
        "positions begin at the left end: padding there moves them",
    ),
)
PARAMS = {
    "length": Param(None, "n: M, the longest sequence (Qin et al. 2022)", least=1, follows=lambda n: n),
    "chunk": Param(64, "64: ours; the paper's causal form goes token by token", least=1, most="n"),
}
EXAMPLES = ({"chunk": 16}, {"chunk": 4096, "length": 2048})


def pattern(n: int, *, causal: bool, head_dim: int) -> Expr:
    """All tokens (of the past), through a kernel of bounded rank."""
    return Kernel(2 * head_dim, causal)


def flops_paper(n: int, *, dim: int, heads: int) -> int:
    """8 n d^2 a head: the linear form with 2 d features (Qin et al. 2022)."""
    return 8 * n * dim * (dim // heads)
