"""Dense attention beside a mixture of experts: each token passes through one of several FFNs."""

from attnprof.pattern import Card, Dense, Expr, Param, all_pairs

CARD = Card(
    title="Switch Transformer",
    bib="fedus2022switch",
    survey_class="sparse",
    complexity="O(n^2)",
    complexity_ours="attention O(n^2), unchanged; FFN O(n) whatever the number of experts",
    growth=2.0,
    causality=(False, True),
    maths="own",
    kv_heads=False,
    rule="every j; causal: j <= i",
    edges_text="n^2; causal: n (n + 1) / 2",
    paper_n=512,
    notes=(
        "the experts stand in the FFN of level block; at levels core and attention it is dense attention",
        "--set NAME.ffn=switch gives the blocks of any other scheme these experts, at their defaults",
        "each expert computes its full capacity, ceil(experts_per_token n / experts * capacity) tokens of a sequence: "
        "4 E C D F FLOPs, experts_per_token * capacity times those of one FFN",
        "experts_per_token=2: GShard's two likeliest experts, their chances made to sum to 1 (Lepikhin et al. 2021); "
        "its random choice whether to try the second one is left out",
        "tokens are dispatched by index; dispatch by one-hot products would cost 4 capacity n^2 D more",
        "a token beyond its expert's capacity skips the FFN; earlier tokens go first, so that nothing leaks "
        "(GShard queues all first choices before all second ones, which would)",
        "compare at equal FLOPs a token, not at equal parameters: those grow with the experts",
    ),
    oracle="transformers SwitchTransformersSparseMLP",
    v_head_dim=True,
)
PARAMS = {
    "experts": Param(
        8, "8 (the released base configuration; Fedus et al. 2022, section 2.1)", least=1, by_length=(8, 8, 64, 64)
    ),
    "experts_per_token": Param(
        1, "1 (Fedus et al. 2022, section 2.1; 2 in Lepikhin et al. 2021, section 2.2)", least=1, most="experts"
    ),
    "capacity": Param(1.25, "1.25 (Fedus et al. 2022, table 1)"),
}


def pattern(n: int, *, causal: bool) -> Expr:
    """All pairs, or all pairs with j <= i."""
    return Dense(causal)


def edges(n: int, *, causal: bool) -> int:
    """n^2, or n (n + 1) / 2."""
    return all_pairs(n, causal)


def flops_paper(n: int, *, dim: int) -> int:
    """4 n^2 D: attention is not changed (Fedus et al. 2022, section 2)."""
    return 4 * n * n * dim
