"""Several corrections of the state a token: products of reflections, which can track what one of them cannot."""

from attnprof.pattern import Card, Expr, Kernel, Param, fading_at_start

CARD = Card(
    title="Gated DeltaProduct",
    bib="siems2025deltaproduct",
    survey_class="linear recurrence",
    complexity_ours="O(r n (r C + d) d) a head, r corrections a token, by chunks of C tokens",
    causality=(True,),
    kv_heads=False,
    v_head_dim=True,
    maths="own",
    rule="S fades by alpha_t, then for each of r keys S += beta_tj k_tj (v_tj - S^T k_tj)^T; o_t = S_t^T q_t",
    edges_text="none: every past token has a weight; their matrix has rank d, and fades with the input",
    paper_n=4096,
    notes=(
        "gated DeltaNet on r n tokens, of which every r-th is read; r times the projections of keys and values",
        "beta in (0, 2): reflections, which tracking a state needs; with |k| = 1 alone the state stays bounded",
        "the decay depends on the data: drawn here as at the start of training, as Gated DeltaNet's",
        "hidden: the corrections of a chunk need the inverse of a unit triangular matrix, n C^2 / 3 FLOPs a head by "
        "itself; here they are solved for, n C (d_k + d_v), in float32 at least: a counter may see none of it",
        "chunks are powers of two: any other size is rounded up to one",
    ),
    oracle="fla.ops.gated_delta_product.naive",
)
PARAMS = {
    "householder": Param(2, "2 corrections a token (the released layer)", least=1),
    "negative": Param(True, "beta up to 2 (Siems et al. 2025; the released layer)"),
    "conv": Param(4, "4 tokens (the released layer)", least=1),
    "chunk": Param(64, "64 (the released kernel); here tokens, of several rows each", least=1, most="n"),
}
EXAMPLES = ({"chunk": 16}, {"chunk": 16, "householder": 3, "negative": False})


def pattern(n: int, *, causal: bool, layer: int, head: int, seed: int, head_dim: int) -> Expr:
    """The past, through a state of d rows that fades as it does before training."""
    return Kernel(head_dim, causal, fading_at_start(seed, layer, head))
