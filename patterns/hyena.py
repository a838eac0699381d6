"""Long convolutions with filters that a small network writes, gated by the input."""

from attnprof.pattern import Card, Expr, Kernel, Param

CARD = Card(
    title="Hyena",
    bib="poli2023hyena",
    survey_class="long convolution",
    complexity_ours="O(n log n D)",
    growth=1.1,
    causality=(True,),
    kv_heads=False,
    maths="own",
    rule="y = x2 * (h2 conv (x1 * (h1 conv v))): for one pair of gates, the weight of j depends on i - j alone, j <= i",
    edges_text="none: every past token has a weight; Toeplitz, of full rank",
    paper_n=2048,
    notes=(
        "no matrix product mixes tokens: a counter of products sees the small network that writes the filters alone; "
        "three real transforms a convolution, of the power of two from 2 n on",
        "the released code leaves the first of the convolutions out",
        "the filters fade over a share of the whole length, so no decay a token can be named",
        "decoding keeps every input of each convolution, and the filters: no state of one size, each step reads it all",
    ),
    oracle="direct convolution",
)
PARAMS = {
    "order": Param(2, "2 (Poli et al. 2023, section 4.2: on The Pile)", least=1),
}
EXAMPLES = ({}, {"order": 1})


def pattern(n: int, *, causal: bool) -> Expr:
    """The past, by a matrix of full rank."""
    return Kernel(n, causal)


def flops_paper(n: int, *, dim: int, order: int) -> int:
    """10 N D n log2 n for the N convolutions (Poli et al. 2023, appendix A.2), the logarithm rounded up.

    There 5 (order - 1) D n log n, with a factor 2 before all; its order counts the projections, N + 1.
    """
    return 10 * order * dim * n * (n - 1).bit_length()
