"""Every token reads every token: the baseline of every comparison."""

from attnprof.pattern import Card, Dense, Expr, all_pairs

CARD = Card(
    title="Multi-head attention",
    bib="vaswani2017attention",
    survey_class="baseline",
    complexity="O(n^2)",
    growth=2.0,
    causality=(False, True),
    cross=True,
    maths="own",
    rule="every j; causal: j <= i",
    edges_text="n^2; causal: n (n + 1) / 2",
    notes=(
        "computed by explicit products: every score is in memory, and under a causal mask half of them for nothing",
    ),
    oracle="torch.nn.functional.scaled_dot_product_attention",
    v_head_dim=True,
)


def pattern(n: int, *, causal: bool) -> Expr:
    """All pairs, or all pairs with j <= i."""
    return Dense(causal)


def edges(n: int, *, causal: bool) -> int:
    """n^2, or n (n + 1) / 2."""
    return all_pairs(n, causal)


def flops_paper(n: int, *, dim: int, keys: int) -> int:
    """4 n m D, of which self-attention has m = n: two products with the width (Vaswani et al. 2017, table 1)."""
    return 4 * n * keys * dim


def flops_paper_step(n: int, *, dim: int, keys: int) -> int:
    """4 m D: one query over the m = n + 1 keys so far."""
    return 4 * keys * dim


def state_numbers(n: int, *, kv_heads: int, head_dim: int, v_head_dim: int) -> int:
    """Keys and values of all tokens: 2 n g d."""
    return n * kv_heads * (head_dim + v_head_dim)
