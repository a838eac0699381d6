"""All of the past through a softmax, its keys reflected by every token between them and the query."""

from attnprof.pattern import Card, Dense, Expr, Param

CARD = Card(
    title="PaTH attention",
    bib="yang2025path",
    survey_class="gated softmax",
    complexity_ours="O(n^2 (d + d^2 / C)) a head by chunks of C",
    growth=2.0,
    causality=(True,),
    kv_heads=False,
    v_head_dim=True,
    maths="own",
    rule="softmax over j <= i of q_i H_i ... H_(j+1) k_j / sqrt(d), H_t = I - beta_t w_t w_t^T, |w_t| = 1",
    edges_text="n (n + 1) / 2, as dense attention",
    paper_n=4096,
    notes=(
        "hidden: between chunks each query is rewritten, n^2 d^2 / C FLOPs a head, as many as the scores where C = d",
        "decoding rewrites the whole cache of keys at every step: 4 n d FLOPs more a head, and every key is written",
        "positions are in the reflections: no others are needed",
        "with forget gates (PaTH-FoX) their sums stand inside of the scale: left out here",
        "chunks are powers of two: any other size is rounded up to one",
    ),
    oracle="fla.ops.path_attn.naive",
)
PARAMS = {
    "chunk": Param(
        64, "64 (blocks of keys of the released kernel, where a GPU has memory for them)", least=1, most="n"
    ),
}
EXAMPLES = ({"chunk": 16}, {"chunk": 64})


def pattern(n: int, *, causal: bool) -> Expr:
    """All of the past."""
    return Dense(causal)


def edges(n: int, *, causal: bool) -> int:
    """The lower triangle."""
    return n * (n + 1) // 2
