"""Keys and values are pooled, every `factor` of them into one slot."""

import numpy as np

from attnprof.pattern import Card, Expr, Slices, Slots

CARD = Card(
    title="Compressed attention (pooling)",
    bib="liu2018generating",
    survey_class="fixed pattern",
    complexity="O(n n / k)",
    complexity_ours="O(n^2 / k): quadratic still, by a factor",
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
    choices={"pooling": ("mean", "max", "conv")},
    sources={
        "factor": "3 (Liu et al. 2018, section 4.2.4)",
        "pooling": "mean; the strided convolution is Liu et al. 2018's",
    },
)


def resolve(n: int, *, factor: int = 3) -> dict[str, int]:
    """No slot of more than all tokens."""
    return {"factor": min(factor, n)}


def pattern(n: int, *, causal: bool = False, factor: int = 3, pooling: str = "mean") -> Expr:
    """Slots of `factor` tokens each; causal, read once they are complete."""
    size = min(factor, n)
    count, i = -(-n // size), np.arange(n)
    slot = np.arange(count)
    reads = Slices.of(count, slot, slot * size, slot * size + size, 1, n)
    return Slots(count, reads, Slices.of(n, i, 0, (i + 1) // size if causal else count, 1, count))


def flops_paper(n: int, *, dim: int, factor: int = 3) -> int:
    """4 n (n / k) D (Liu et al. 2018, section 4.2.4)."""
    return 4 * n * n * dim // factor
