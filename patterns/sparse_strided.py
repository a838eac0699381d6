"""Two steps of width sqrt(n): the last l tokens, and every l-th token before."""

from math import ceil, log2, sqrt

from attnprof.pattern import Band, Card, Expr, Strided

CARD = Card(
    title="Sparse Transformer, strided",
    bib="child2019sparse",
    survey_class="fixed pattern",
    complexity="O(n sqrt(n))",
    causality=(True,),
    rule="0 <= i - j <= stride, or (i - j) mod stride = 0, j <= i",
    edges_text="(l + 1) n - l (l + 1) / 2 + S - (n - l), S = sum of floor(i / l) over all i",
    paper_n=1024,
    notes=(
        "stride is the power of two at or above sqrt(n), a function of n in the paper",
        "combine=merge: both steps in every head; alternate: a layer each, window first; heads: even and odd heads",
    ),
    choices={"combine": ("merge", "alternate", "heads")},
    sources={
        "stride": "about sqrt(n) (Child et al. 2019, section 4.3); 128 there for images",
        "combine": "merge (Child et al. 2019, section 5.2, which names all three)",
    },
    oracle="FlexAttention, dense mask",
)


def resolve(n: int, *, stride: int | None = None) -> dict[str, int]:
    """2 ^ ceil(log2 sqrt(n)) unless given."""
    return {"stride": min(stride, n) if stride else 2 ** ceil(log2(sqrt(n)))}


def layers(*, combine: str = "merge") -> int:
    """Two layer kinds where the steps alternate."""
    return 2 if combine == "alternate" else 1


def step(layer: int, head: int, combine: str) -> str:
    """Which of the two steps a layer and head computes: `window`, `stride`, or `both`."""
    if combine == "merge":
        return "both"
    return ("window", "stride")[(layer if combine == "alternate" else head) % 2]


def pattern(n: int, *, layer: int = 0, head: int = 0, stride: int | None = None, combine: str = "merge") -> Expr:
    """The window A1, the stride A2, or both (Child et al. 2019, section 4.3)."""
    size = resolve(n, stride=stride)["stride"]
    near, far = Band(size), Strided(size, causal=True)
    return {"window": near, "stride": far, "both": near | far}[step(layer, head, combine)]


def edges(n: int, *, layer: int = 0, head: int = 0, stride: int | None = None, combine: str = "merge") -> int:
    """Window plus stride, minus the keys i - l and i that both have."""
    size = resolve(n, stride=stride)["stride"]
    reach = min(size, n - 1)
    near = (reach + 1) * n - reach * (reach + 1) // 2
    whole, rest = divmod(n, size)
    far = size * whole * (whole + 1) // 2 + rest * (whole + 1)
    shared = n + max(n - size, 0)
    return {"window": near, "stride": far, "both": near + far - shared}[step(layer, head, combine)]


def flops_paper(n: int, *, dim: int, heads: int, stride: int | None = None, combine: str = "merge") -> int:
    """4 n D times the keys of a query: l of its window, n / l of its stride; each in half of the heads for `heads`.

    O(n sqrt(n)) with l = sqrt(n) (Child et al. 2019, section 4.2). Both steps of alternating layers are counted.
    """
    near = resolve(n, stride=stride)["stride"]
    far = -(-n // near)
    if combine != "heads":
        return 4 * n * (near + far) * dim
    return 4 * n * (near * -(-heads // 2) + far * (heads // 2)) * dim // heads
