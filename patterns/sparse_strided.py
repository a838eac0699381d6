"""Two steps of width sqrt(n): the last l tokens, and every l-th token before."""

from attnprof.pattern import Band, Card, Expr, Param, Strided, band_pairs, root_power, turn

CARD = Card(
    title="Sparse Transformer, strided",
    bib="child2019sparse",
    survey_class="fixed pattern",
    complexity="O(n sqrt(n))",
    growth=1.5,
    causality=(True,),
    rule="0 <= i - j <= stride, or (i - j) mod stride = 0, j <= i",
    edges_text="(l + 1) n - l (l + 1) / 2 + S - (n - l), S = sum of floor(i / l) over all i",
    paper_n=1024,
    notes=(
        "stride is the power of two at or above sqrt(n), a function of n in the paper",
        "combine=merge: both steps in every head; alternate: a layer each, window first; heads: even and odd heads",
    ),
    oracle="FlexAttention, dense mask",
)
PARAMS = {
    "stride": Param(
        source="about sqrt(n) (Child et al. 2019, section 4.3); 128 there for images",
        least=1,
        most="n",
        follows=root_power,
        by_length=(32, 64, 128, 256),
    ),
    "combine": Param(
        "merge", "merge (Child et al. 2019, section 5.2, which names all three)", words=("merge", "alternate", "heads")
    ),
}
EXAMPLES = ({}, {"combine": "alternate"}, {"combine": "heads"}, {"stride": 7})


def layers(*, combine: str) -> int:
    """Two layer kinds where the steps alternate."""
    return 2 if combine == "alternate" else 1


def pattern(n: int, *, layer: int, head: int, stride: int, combine: str) -> Expr:
    """The window A1, the stride A2, or both (Child et al. 2019, section 4.3)."""
    near, far = Band(stride), Strided(stride, causal=True)
    return {0: near, 1: far, None: near | far}[turn(combine, layer, head)]


def edges(n: int, *, layer: int, head: int, stride: int, combine: str) -> int:
    """Window plus stride, minus the keys i - l and i that both have."""
    near = band_pairs(n, stride)
    whole, rest = divmod(n, stride)
    far = stride * whole * (whole + 1) // 2 + rest * (whole + 1)
    shared = n + max(n - stride, 0)
    return {0: near, 1: far, None: near + far - shared}[turn(combine, layer, head)]


def flops_paper(n: int, *, dim: int, heads: int, stride: int, combine: str) -> int:
    """4 n D times the keys of a query: l of its window, n / l of its stride; each in half of the heads for `heads`.

    O(n sqrt(n)) with l = sqrt(n) (Child et al. 2019, section 4.2). Both steps of alternating layers are counted.
    """
    near, far = stride, -(-n // stride)
    if combine != "heads":
        return 4 * n * (near + far) * dim
    return 4 * n * (near * -(-heads // 2) + far * (heads // 2)) * dim // heads
