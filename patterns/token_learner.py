"""A few learned maps over the positions pool the sequence into a few tokens; a fuser spreads them out again."""

from attnprof.pattern import Card, Expr, Param, Slots

CARD = Card(
    title="TokenLearner",
    bib="ryoo2021tokenlearner",
    survey_class="downsampling",
    complexity="O(k^2)",
    complexity_ours="O(n k + k^2): the pooling itself reads every token",
    causality=(False,),
    kv_heads=False,
    maths="own",
    rule="each of `tokens` learned tokens is a weighted mean of all positions; a position reads every learned token",
    edges_text="none between tokens: n tokens from positions to learned tokens, n tokens back",
    paper_n=196,
    notes=(
        "O(k^2) counts the layers after the pooling only",
        "the maps depend on the input, the graph does not; no causal form",
        "version 1.1: the maps are a softmax over positions of two layers; version 1.0 has convolutions and sigmoids",
        "the released fuser normalises before and after it mixes the tokens; here it is the paper's equation alone",
        "the way back is the fuser's, where a layer needs all positions again",
    ),
)
PARAMS = {
    "tokens": Param(8, "8 (Ryoo et al. 2021)", least=1),
    "hidden": Param(64, "64: width between the two layers of a map (Ryoo et al. 2021, released code of 1.1)", least=1),
}
EXAMPLES = ({}, {"tokens": 3, "hidden": 5})


def pattern(n: int, *, tokens: int) -> Expr:
    """Every learned token reads every position, every position reads every learned token."""
    return Slots.full(n, tokens)


def flops_paper(n: int, *, dim: int, tokens: int) -> int:
    """4 n S D for pooling and fusing and 4 S^2 D for attention among the learned tokens (Ryoo et al. 2021)."""
    return 4 * n * tokens * dim + 4 * tokens**2 * dim
