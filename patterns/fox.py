"""All of the past through a softmax, its scores fading by gates that the input sets."""

from attnprof.pattern import Card, Dense, Expr

CARD = Card(
    title="Forgetting Transformer",
    bib="lin2025fox",
    survey_class="gated softmax",
    complexity_ours="O(n^2)",
    growth=2.0,
    causality=(True,),
    v_head_dim=True,
    maths="own",
    rule="softmax over j <= i of q_i k_j / sqrt(d) + log f_(j+1) + ... + log f_i, f_t = sigmoid(x_t w_f + b)",
    edges_text="n (n + 1) / 2, as dense attention: no edge is left out, all but the near ones may weigh nothing",
    paper_n=16384,
    notes=(
        "no positions are needed: gates say what is near; a head at f = 0.5 halves every weight a token",
        "summed gates need float32: in the scores their difference is taken, and of long sums it has few digits; here "
        "(but by flex) each is summed by itself, from the key to the query",
        "adaptive pruning skips blocks whose summed gates leave no weight (arXiv 2504.06949): left out here",
        "decoding keeps one number a head and token beside keys and values",
    ),
    oracle="fla.ops.forgetting_attn.naive",
)


def pattern(n: int, *, causal: bool) -> Expr:
    """All of the past."""
    return Dense(causal)


def edges(n: int, *, causal: bool) -> int:
    """The lower triangle."""
    return n * (n + 1) // 2


def flops_paper(n: int, *, dim: int) -> int:
    """4 n^2 D: that of softmax attention, which the gates add no product to (Lin et al. 2025, section 3)."""
    return 4 * n * n * dim


def flops_paper_step(n: int, *, dim: int, keys: int) -> int:
    """4 m D over m keys."""
    return 4 * keys * dim
