"""One token reads all and is read by all; every other token reads it and itself."""

from attnprof.pattern import Band, Card, Expr, Global, Param

CARD = Card(
    title="Star",
    bib="zaheer2020bigbird",
    survey_class="fixed pattern",
    complexity_ours="O(n g)",
    causality=(False,),
    rule="i = j, or i or j < global_tokens",
    edges_text="n + (2 n - 1 - g) g; 3 n - 2 for one global token",
    notes=(
        "the smallest graph for which sparse attention is a universal approximator",
        "two layers reach everything, all of it through global_tokens tokens: the bottleneck at its purest",
    ),
    oracle="dense mask",
)
PARAMS = {
    "global_tokens": Param(1, "1: the classification token (Zaheer et al. 2020, theorem 1: the star graph)", most="n"),
}
EXAMPLES = ({}, {"global_tokens": 4})


def pattern(n: int, *, global_tokens: int) -> Expr:
    """The diagonal, and the rows and columns of the hubs."""
    return Band(0) | Global(global_tokens)


def edges(n: int, *, global_tokens: int) -> int:
    """2 g n - g^2 pairs with a hub, and the n - g other tokens themselves."""
    return 2 * global_tokens * n - global_tokens**2 + n - global_tokens
