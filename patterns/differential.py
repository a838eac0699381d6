"""Two softmax maps a pair of heads, of which one is subtracted."""

from attnprof.pattern import Card, Dense, Expr, all_pairs

CARD = Card(
    title="Differential Transformer",
    bib="ye2025differential",
    survey_class="exact, signed weights",
    complexity_ours="O(n^2)",
    growth=2.0,
    causality=(True, False),
    kv_heads=False,
    maths="own",
    rule="every j; causal: j <= i; weights softmax(q_1 k_1) - lambda softmax(q_2 k_2)",
    paper_n=4096,
    edges_text="n^2; causal: n (n + 1) / 2",
    notes=(
        "heads stand in pairs: two maps of width d, and values of width 2 d for both, so their number is even",
        "subtracting the maps first, as here, costs what dense attention costs, 4 n^2 D; two fused calls on values of "
        "width 2 d cost 6 n^2 D; transformers' DiffLlama, which calls attention twice on halves of V, 8 n^2 D",
        "a weight may be negative, and the weights of a row sum to 1 - lambda",
        "the mean square of each pair's output is normalised, with a learned gain, and scaled by 1 - lambda_init",
    ),
    oracle="transformers DiffLlamaAttention",
)


def pattern(n: int, *, causal: bool) -> Expr:
    """All pairs, or all pairs of the past."""
    return Dense(causal)


def edges(n: int, *, causal: bool) -> int:
    """n^2, or n (n + 1) / 2."""
    return all_pairs(n, causal)


def flops_paper(n: int, *, dim: int) -> int:
    """4 n^2 D, as of dense attention with twice the heads (Ye et al. 2025, section 2.1)."""
    return 4 * n * n * dim


def flops_paper_step(n: int, *, dim: int, keys: int) -> int:
    """4 m D: one query over the m = n + 1 keys so far."""
    return 4 * keys * dim


def state_numbers(n: int, *, dim: int) -> int:
    """Keys and values of all tokens: 2 n D."""
    return 2 * n * dim
