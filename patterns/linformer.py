"""Keys and values are projected along the sequence, from n positions to a constant number of them."""

from attnprof.pattern import Card, Expr, Slots

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
    choices={"sharing": ("none", "headwise", "kv", "layerwise")},
    sources={
        "rank": "256 (Wang et al. 2020, table 2)",
        "sharing": "headwise (Wang et al. 2020, section 4, with kv and layerwise; none is equation 7 as it stands)",
    },
    oracle="linformer LinformerSelfAttention",
)


def resolve(n: int, *, rank: int = 256) -> dict[str, int]:
    """No more slots than tokens."""
    return {"rank": min(rank, n)}


def pattern(n: int, *, rank: int = 256, sharing: str = "headwise") -> Expr:
    """Every slot reads every token, every token reads every slot."""
    return Slots.full(n, min(rank, n))


def flops_paper(n: int, *, dim: int, rank: int = 256) -> int:
    """8 n k D: E and F on keys and values, then n x k attention (Wang et al. 2020, equation 7)."""
    return 8 * n * rank * dim
