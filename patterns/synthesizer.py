"""Attention weights that no query-key product makes: predicted from the token alone, or simply learned."""

from attnprof.pattern import Card, Dense, Expr, Param, all_pairs

CARD = Card(
    title="Synthesizer",
    bib="tay2021synthesizer",
    survey_class="low rank + learnable pattern",
    complexity="O(n^2)",
    growth=2.0,
    causality=(False, True),
    kv_heads=False,
    maths="own",
    rule="every j; causal: j <= i; the weights are softmax(W2 relu(W1 x_i)), or of a learned n x n matrix",
    edges_text="n^2; causal: n (n + 1) / 2",
    notes=(
        "nothing quadratic is saved: the dense variant trades q k^T for a product of the same order, d x n a token",
        "the random variant has heads * n^2 parameters; all variants refuse a sequence longer than they were built for",
        "the synthesized scores are not scaled by 1 / sqrt(d)",
        "causal tables have a place more than n, for the token that decoding adds; its cache holds values alone",
        "random and factorised weights do not depend on the input: a fixed weighted graph",
    ),
)
PARAMS = {
    "variant": Param(
        "dense",
        "dense (Tay et al. 2021); random and factorised are its others",
        words=("dense", "random", "factorised"),
    ),
    "rank": Param(8, "8, of the factorised variant (Tay et al. 2021)", least=1),
}
EXAMPLES = ({}, {"variant": "random"}, {"variant": "factorised", "rank": 3})


def pattern(n: int, *, causal: bool) -> Expr:
    """All pairs, or all pairs of the past: only the weights differ between the variants."""
    return Dense(causal)


def edges(n: int, *, causal: bool) -> int:
    """n^2, or n (n + 1) / 2."""
    return all_pairs(n, causal)


def score_products(n: int, *, causal: bool, variant: str) -> int:
    """None less than usual for dense; one a pair less where the weights do not come from the input."""
    return 0 if variant == "dense" else -all_pairs(n, causal)


def flops_paper(n: int, *, dim: int, heads: int, variant: str, rank: int) -> int:
    """2 n^2 D for the values, and the making of the scores by variant (Tay et al. 2021)."""
    scores = {"dense": 2 * n * dim * dim + 2 * n * n * dim, "random": 0, "factorised": 2 * n * n * rank * heads}
    return scores[variant] + 2 * n * n * dim
