"""Every token reads a few learned inducing points, which have read every token."""

from attnprof.pattern import Card, Expr, Param, Slots

CARD = Card(
    title="Set Transformer (ISAB)",
    bib="lee2019set",
    survey_class="memory",
    complexity="O(k n)",
    causality=(False,),
    maths="own",
    rule="MAB(X, MAB(I, X)): inducing points read all tokens, all tokens read the inducing points",
    edges_text="none between tokens: n m from tokens to points, m n back",
    notes=(
        "equivariant to permutations, and without a causal form: a point has read all tokens",
        "a layer is a whole ISAB: two multihead attention blocks with their normalisation and row-wise layer",
        "variant=official is the authors' code: no normalisation, the residual adds the projected queries, scaled by "
        "1 / sqrt(D), biases, no output projection; the row-wise layer is relu(linear) in both",
    ),
)
PARAMS = {
    "points": Param(32, "32 (Lee et al. 2019, section 5, which uses 16 to 64)", least=1, by_length=(32, 64, 128, 128)),
    "variant": Param("paper", "paper (Lee et al. 2019, equations 6 to 9)", words=("paper", "official")),
}
EXAMPLES = ({"points": 8}, {"points": 8, "variant": "official"})


def pattern(n: int, *, points: int) -> Expr:
    """Every point reads every token, every token reads every point."""
    return Slots.full(n, points)


def flops_paper(n: int, *, dim: int, points: int) -> int:
    """8 n m D: two attentions of n by m (Lee et al. 2019, section 3.3)."""
    return 8 * n * points * dim
