"""Dense attention beside a mixture of experts: each token passes through one of several FFNs."""

from attnprof.pattern import Card, Dense, Expr

CARD = Card(
    title="Switch Transformer",
    bib="fedus2022switch",
    survey_class="sparse",
    complexity="O(n^2)",
    complexity_ours="attention O(n^2), unchanged; FFN O(n) whatever the number of experts",
    causality=(False, True),
    maths="own",
    kv_heads=False,
    rule="every j; causal: j <= i",
    edges_text="n^2; causal: n (n + 1) / 2",
    paper_n=512,
    notes=(
        "the experts stand in the FFN of level block; at levels core and attention it is dense attention",
        "each expert computes its full capacity, ceil(n / experts * capacity) tokens of a sequence: "
        "4 E C D F FLOPs, capacity times those of one FFN",
        "tokens are dispatched by index; dispatch by one-hot products would cost 4 capacity n^2 D more",
        "a token beyond its expert's capacity skips the FFN; earlier tokens go first, so that nothing leaks",
        "compare at equal FLOPs a token, not at equal parameters: those grow with the experts",
    ),
    sources={
        "experts": "8 (the released base configuration; Fedus et al. 2022, section 2.1)",
        "capacity": "1.25 (Fedus et al. 2022, table 1)",
    },
    oracle="transformers SwitchTransformersSparseMLP",
)


def pattern(n: int, *, causal: bool = False, experts: int = 8, capacity: float = 1.25) -> Expr:
    """All pairs, or all pairs with j <= i."""
    return Dense(causal)


def edges(n: int, *, causal: bool = False) -> int:
    """n^2, or n (n + 1) / 2."""
    return n * (n + 1) // 2 if causal else n * n


def flops_paper(n: int, *, dim: int) -> int:
    """4 n^2 D: attention is not changed (Fedus et al. 2022, section 2)."""
    return 4 * n * n * dim
