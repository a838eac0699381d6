"""Attention by the chance that a query and a key fall into one bucket of a hash, in expectation."""

from attnprof.pattern import Card, Dense, Expr, Param, all_pairs

CARD = Card(
    title="YOSO",
    bib="zeng2021yoso",
    survey_class="",
    complexity_ours="O(n^2 d) in expectation, as executed; O(n m (d + bits)) by m sampled hashes",
    growth=2.0,
    causality=(False,),
    maths="own",
    kv_heads=False,
    rule="every j, by (1 - arccos(q_i . k_j) / pi)^bits, q and k of unit length; each row scaled to unit length",
    edges_text="n^2: every pair has a chance to meet",
    paper_n=4096,
    notes=(
        "no softmax: the rows of weights do not add up to one, the outputs are scaled to unit length instead",
        "backward takes bits / 2 times the chance for its derivative, which has no end where q and k are alike",
        "this is the expectation (YOSO-E), quadratic in n; the sampled form, which is linear, adds each value to a row "
        "in each of m tables of 2^bits: no product but the hashes', and the released one is a CUDA kernel",
        "a filter of the values along the sequence beside it, as in some tasks of the paper, is left out",
    ),
    oracle="transformers YosoSelfAttention(use_expectation=True)",
)
PARAMS = {
    "bits": Param(9, "9 of a hash, as released; 64 hashes where they are sampled", least=1),
}


def pattern(n: int) -> Expr:
    """All pairs."""
    return Dense()


def edges(n: int) -> int:
    """n^2."""
    return all_pairs(n, causal=False)


def flops_paper(n: int, *, dim: int) -> int:
    """4 n^2 D: scores and values of the expectation (Zeng et al. 2021)."""
    return 4 * n * n * dim
