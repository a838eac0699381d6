"""Encoder-decoder attention: the queries of one sequence read every token of another."""

from attnprof.pattern import Card, Dense, Expr

CARD = Card(
    title="Encoder-decoder attention",
    bib="vaswani2017attention",
    survey_class="baseline",
    complexity="O(n m)",
    growth=2.0,
    causality=(False,),
    maths="own",
    cross=True,
    rule="query i of one sequence, every token j of the other",
    edges_text="n m; drawn here for m = n",
    notes=(
        "never causal: the source is known in full before the first query",
        "keys and values are projected once a source, 4 m D^2, and serve all steps of decoding",
        "without a length m of its own the context is as long as the queries",
    ),
    oracle="torch.nn.functional.scaled_dot_product_attention",
    v_head_dim=True,
)


def pattern(n: int) -> Expr:
    """All pairs."""
    return Dense()


def edges(n: int) -> int:
    """n m, for m = n."""
    return n * n


def flops_paper(n: int, *, dim: int, keys: int) -> int:
    """4 n m D (Vaswani et al. 2017, section 3.2.3)."""
    return 4 * n * keys * dim
