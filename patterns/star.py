"""One token reads all and is read by all; every other token reads it and itself."""

from attnprof.pattern import Band, Card, Expr, Global

CARD = Card(
    title="Star",
    bib="zaheer2020bigbird",
    survey_class="fixed pattern",
    complexity="",
    complexity_ours="O(n g)",
    causality=(False,),
    rule="i = j, or i or j < global_tokens",
    edges_text="n + (2 n - 1 - g) g; 3 n - 2 for one global token",
    notes=(
        "the smallest graph for which sparse attention is a universal approximator",
        "two layers reach everything, all of it through global_tokens tokens: the bottleneck at its purest",
    ),
    sources={"global_tokens": "1: the classification token (Zaheer et al. 2020, theorem 1: the star graph)"},
    oracle="dense mask",
)


def resolve(n: int, *, global_tokens: int = 1) -> dict[str, int]:
    """No more hubs than tokens."""
    return {"global_tokens": min(global_tokens, n)}


def pattern(n: int, *, global_tokens: int = 1) -> Expr:
    """The diagonal, and the rows and columns of the hubs."""
    return Band(0) | Global(min(global_tokens, n))


def edges(n: int, *, global_tokens: int = 1) -> int:
    """2 g n - g^2 pairs with a hub, and the n - g other tokens themselves."""
    hubs = min(global_tokens, n)
    return 2 * hubs * n - hubs**2 + n - hubs
