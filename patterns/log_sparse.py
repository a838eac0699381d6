"""Each token reads those at distances 0, 1, 2, 4, 8, ... before it."""

from attnprof.pattern import Card, Expr, Offsets

CARD = Card(
    title="LogSparse Transformer",
    bib="li2019logsparse",
    survey_class="fixed pattern",
    complexity_ours="O(n log n)",
    growth=1.1,
    causality=(True,),
    rule="i - j is 0 or a power of two",
    edges_text="n + sum over t of (n - 2^t), 2^t < n",
    paper_n=768,
    notes=(
        "log2 n layers reach all of the past for n a power of two: a distance takes as many hops as it has binary ones",
        "the paper's local window and its restarts every so many tokens are not in it",
        "single keys at scattered distances: no tile of a block-sparse kernel is dense",
    ),
    oracle="dense mask",
)


def pattern(n: int) -> Expr:
    """The own position and the powers of two below n."""
    return Offsets((0, *(2**t for t in range((n - 1).bit_length()))))


def edges(n: int) -> int:
    """A key at distance 2^t exists for n - 2^t queries."""
    return n + sum(n - 2**t for t in range((n - 1).bit_length()))


def flops_paper(n: int, *, dim: int) -> int:
    """4 n log2 n D (Li et al. 2019), the logarithm rounded up."""
    return 4 * n * (n - 1).bit_length() * dim
