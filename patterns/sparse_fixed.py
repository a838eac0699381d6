"""Two steps of width sqrt(n): the own block, and the last columns of every block before."""

from attnprof.pattern import Blocks, Card, Expr, Param, Summary, block_pairs, root_power, turn

CARD = Card(
    title="Sparse Transformer, fixed",
    bib="child2019sparse",
    survey_class="fixed pattern",
    complexity="O(n sqrt(n))",
    growth=1.5,
    causality=(True,),
    rule="floor(j / stride) = floor(i / stride), or j mod stride >= stride - summary; j <= i",
    edges_text="n (l + 1) / 2 + c l (b (b - 1) / 2) with b = n / l blocks, for combine=merge and l dividing n",
    dead_queries="combine=alternate or heads: in the summary step tokens before position stride - summary read nothing",
    paper_n=1024,
    notes=(
        "stride is the power of two at or above sqrt(n), a function of n in the paper; summary is a constant there: "
        "were it a share of the stride, the cost would be quadratic",
        "combine=merge: both steps in every head; alternate: a layer each, the block first; heads: even and odd heads",
        "the order of layers matters: summaries first reach a fraction of the past only",
        "every head reads the same summary columns; the paper also lets heads read distinct ones, at the same cost",
    ),
    oracle="FlexAttention, dense mask",
)
PARAMS = {
    "stride": Param(
        source="about sqrt(n) (Child et al. 2019, section 4.3); 128 there for text",
        least=1,
        most="n",
        follows=root_power,
        by_length=(32, 64, 128, 256),
    ),
    "summary": Param(
        8,
        "8 (Child et al. 2019, section 4.3: 8, 16 or 32 for strides of 128 and 256)",
        most="stride",
        by_length=(4, 8, 16, 32),
    ),
    "combine": Param(
        "merge", "merge (Child et al. 2019, section 5.2, which names all three)", words=("merge", "alternate", "heads")
    ),
}
EXAMPLES = ({}, {"combine": "alternate"}, {"combine": "heads"}, {"stride": 8, "summary": 2})


def layers(*, combine: str) -> int:
    """Two layer kinds where the steps alternate."""
    return 2 if combine == "alternate" else 1


def pattern(n: int, *, layer: int, head: int, stride: int, summary: int, combine: str) -> Expr:
    """The own block A1, the summary columns A2, or both (Child et al. 2019, section 4.3)."""
    near, far = Blocks(stride, causal=True), Summary(stride, stride - summary, stride, causal=True)
    return {0: near, 1: far, None: near | far}[turn(combine, layer, head)]


def edges(n: int, *, layer: int, head: int, stride: int, summary: int, combine: str) -> int:
    """Triangles of the own blocks, and the summary columns of all earlier ones; alone, a step also has its own part."""
    whole, rest = divmod(n, stride)
    near = block_pairs(n, stride, causal=True)
    far = summary * (stride * whole * (whole - 1) // 2 + rest * whole)
    tail = max(rest - (stride - summary), 0)
    own = whole * summary * (summary + 1) // 2 + tail * (tail + 1) // 2
    return {0: near, 1: far + own, None: near + far}[turn(combine, layer, head)]


def flops_paper(n: int, *, dim: int, heads: int, stride: int, summary: int, combine: str) -> int:
    """4 n D times the keys of a query: l of its block, c n / l summary columns; each in half of the heads for `heads`.

    O(n sqrt(n)) with l = sqrt(n) (Child et al. 2019, section 4.2). Both steps of alternating layers are counted.
    """
    near, far = stride, min(summary * -(-n // stride), n)
    if combine != "heads":
        return 4 * n * (near + far) * dim
    return 4 * n * (near * -(-heads // 2) + far * (heads // 2)) * dim // heads
