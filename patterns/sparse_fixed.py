"""Two steps of width sqrt(n): the own block, and the last columns of every block before."""

from math import ceil, log2, sqrt

from attnprof.pattern import Blocks, Card, Expr, Summary

CARD = Card(
    title="Sparse Transformer, fixed",
    bib="child2019sparse",
    survey_class="fixed pattern",
    complexity="O(n sqrt(n))",
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
    choices={"combine": ("merge", "alternate", "heads")},
    sources={
        "stride": "about sqrt(n) (Child et al. 2019, section 4.3); 128 there for text",
        "summary": "8 (Child et al. 2019, section 4.3: 8, 16 or 32 for strides of 128 and 256)",
        "combine": "merge (Child et al. 2019, section 5.2, which names all three)",
    },
    oracle="FlexAttention, dense mask",
)


def resolve(n: int, *, stride: int | None = None, summary: int = 8) -> dict[str, int]:
    """Stride 2 ^ ceil(log2 sqrt(n)) unless given, no longer than the sequence; no more summary columns than it has."""
    size = min(stride, n) if stride else 2 ** ceil(log2(sqrt(n)))
    return {"stride": size, "summary": min(summary, size)}


def layers(*, combine: str = "merge") -> int:
    """Two layer kinds where the steps alternate."""
    return 2 if combine == "alternate" else 1


def step(layer: int, head: int, combine: str) -> str:
    """Which of the two steps a layer and head computes: `block`, `summary`, or `both`."""
    if combine == "merge":
        return "both"
    return ("block", "summary")[(layer if combine == "alternate" else head) % 2]


def pattern(
    n: int,
    *,
    layer: int = 0,
    head: int = 0,
    stride: int | None = None,
    summary: int = 8,
    combine: str = "merge",
) -> Expr:
    """The own block A1, the summary columns A2, or both (Child et al. 2019, section 4.3)."""
    size, columns = resolve(n, stride=stride, summary=summary).values()
    near, far = Blocks(size, causal=True), Summary(size, size - columns, size, causal=True)
    return {"block": near, "summary": far, "both": near | far}[step(layer, head, combine)]


def edges(
    n: int,
    *,
    layer: int = 0,
    head: int = 0,
    stride: int | None = None,
    summary: int = 8,
    combine: str = "merge",
) -> int:
    """Triangles of the own blocks, and the summary columns of all earlier ones; alone, a step also has its own part."""
    size, columns = resolve(n, stride=stride, summary=summary).values()
    whole, rest = divmod(n, size)
    near = whole * size * (size + 1) // 2 + rest * (rest + 1) // 2
    far = columns * (size * whole * (whole - 1) // 2 + rest * whole)
    tail = max(rest - (size - columns), 0)
    own = whole * columns * (columns + 1) // 2 + tail * (tail + 1) // 2
    return {"block": near, "summary": far + own, "both": near + far}[step(layer, head, combine)]


def flops_paper(
    n: int, *, dim: int, heads: int, stride: int | None = None, summary: int = 8, combine: str = "merge"
) -> int:
    """4 n D times the keys of a query: l of its block, c n / l summary columns; each in half of the heads for `heads`.

    O(n sqrt(n)) with l = sqrt(n) (Child et al. 2019, section 4.2). Both steps of alternating layers are counted.
    """
    size, columns = resolve(n, stride=stride, summary=summary).values()
    near, far = size, min(columns * -(-n // size), n)
    if combine != "heads":
        return 4 * n * (near + far) * dim
    return 4 * n * (near * -(-heads // 2) + far * (heads // 2)) * dim // heads
