"""A state that fades by channels, and from which a key of its own is removed at a rate for each channel."""

from math import exp

from attnprof.pattern import Card, Expr, Kernel, Param

CARD = Card(
    title="RWKV-7",
    bib="peng2025rwkv7",
    survey_class="linear recurrence",
    complexity_ours="O(n (C + d) d) a head by chunks of C",
    causality=(True,),
    kv_heads=False,
    v_head_dim=True,
    maths="own",
    rule="S_t = (diag(w_t) - (a_t * kappa_t) kappa_t^T) S_(t-1) + k_t v_t^T, o_t = S_t^T r_t, w_t in (0.545, 1)",
    edges_text="none: every past token has a weight; their matrix has rank d, and fades with the input",
    paper_n=4096,
    notes=(
        "r is not scaled by 1 / sqrt(d); a group norm follows, and what the token's own key gives once more",
        "every stream is mixed with the token before: decoding keeps that one too",
        "the decay depends on the data: drawn here as that of a gate at 0, exp(-e^(-1/2) / 2) = 0.738 a token",
        "values of higher layers are mixed with those of the first: left out here, where each layer stands alone",
        "hidden: the corrections of a chunk need the inverse of a unit triangular matrix, n C^2 / 3 FLOPs a head by "
        "itself; here they are solved for, n C (d_k + d_v), in float32 at least: a counter may see none of it",
        "chunks are powers of two: any other size is rounded up to one",
    ),
    oracle="fla.ops.generalized_delta_rule.dplr.naive",
)
PARAMS = {
    "chunk": Param(16, "16: ours; the released kernel goes by 16 too", least=1, most="n"),
}
EXAMPLES = ({},)


def pattern(n: int, *, causal: bool, head_dim: int) -> Expr:
    """The past, through a state of d rows that fades as a gate at 0 makes it."""
    return Kernel(head_dim, causal, exp(-exp(-0.5) / 2))
