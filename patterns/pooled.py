"""Keys and values are pooled, every `factor` of them into one slot."""

from attnprof.pattern import Card, Expr, Param, Slots

CARD = Card(
    title="Compressed attention (pooling)",
    bib="liu2018generating",
    survey_class="fixed pattern",
    complexity="O(n n / k)",
    complexity_ours="O(n^2 / k): quadratic still, by a factor",
    growth=2.0,
    causality=(False, True),
    maths="own",
    rule="slot t pools the keys [k t, k t + k); every slot, causal: those with k t + k - 1 <= i, and a null slot",
    edges_text="none between tokens: n from tokens to slots, n ceil(n / k) back; causal about half",
    dead_queries="causal: the first factor - 1 queries, for whom no slot is complete; they read a null slot",
    notes=(
        "pooling=mean or max takes no product; conv learns one of kernel = stride = factor over all of the width, "
        "2 n D^2 for keys and as much for values",
        "a ragged end is pooled from the tokens there are; causal, an unfinished slot is seen by nobody",
        "causal queries are computed in groups of k that see the same slots; half of the products are masked",
    ),
)
PARAMS = {
    "factor": Param(3, "3 (Liu et al. 2018, section 4.2.4)", least=1, most="n", by_length=(3, 4, 8, 16)),
    "pooling": Param("mean", "mean; the strided convolution is Liu et al. 2018's", words=("mean", "max", "conv")),
}
EXAMPLES = ({}, {"pooling": "max"}, {"pooling": "conv"})


def pattern(n: int, *, causal: bool, factor: int) -> Expr:
    """Slots of `factor` tokens each; causal, read once they are complete."""
    return Slots.pooled(n, factor, causal)


def flops_paper(n: int, *, dim: int, factor: int) -> int:
    """4 n (n / k) D (Liu et al. 2018, section 4.2.4)."""
    return 4 * n * n * dim // factor
