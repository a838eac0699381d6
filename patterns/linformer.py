"""Keys and values are projected along the sequence, from n positions to a constant number of them."""

from attnprof.pattern import Card, Expr, Param, Slots

CARD = Card(
    title="Linformer",
    bib="wang2020linformer",
    survey_class="low rank",
    complexity="O(n)",
    complexity_ours="O(n k), with 2 k n parameters: the longest n is fixed when it is built",
    causality=(False,),
    maths="own",
    rule="softmax(q (E k)^T / sqrt(d)) (F v), E and F of size rank x n",
    edges_text="none between tokens: n rank from tokens to slots, rank n from slots to tokens",
    paper_n=512,
    notes=(
        "no causal form: every row of E mixes all positions, later ones included",
        "cheaper than dense attention for n > 2 rank, the projections of keys and values counted",
        "sharing=none: E and F for every head; headwise: one E and one F; kv: E = F; layerwise: one E for all layers",
    ),
    oracle="linformer LinformerSelfAttention",
)
PARAMS = {
    "rank": Param(256, "256 (Wang et al. 2020, table 2)", least=1, most="n", by_length=(128, 256, 256, 256)),
    "sharing": Param(
        "headwise",
        "headwise (Wang et al. 2020, section 4, with kv and layerwise; none is equation 7 as it stands)",
        words=("none", "headwise", "kv", "layerwise"),
    ),
}
EXAMPLES = (
    {"rank": 12},
    {"rank": 12, "sharing": "none"},
    {"rank": 12, "sharing": "kv"},
    {"rank": 12, "sharing": "layerwise"},
    {"rank": 8},
)


def pattern(n: int, *, rank: int) -> Expr:
    """Every slot reads every token, every token reads every slot."""
    return Slots.full(n, rank)


def flops_paper(n: int, *, dim: int, rank: int) -> int:
    """8 n k D: E and F on keys and values, then n x k attention (Wang et al. 2020, equation 7)."""
    return 8 * n * rank * dim
