"""A state-space model whose steps are trapezoids, with keys and queries that the data turn."""

from attnprof.pattern import Card, Expr, Kernel, Param

CARD = Card(
    title="Mamba-3",
    bib="lahoti2026mamba3",
    survey_class="linear recurrence",
    complexity_ours="O(n (C + P) N) a head by chunks of C",
    causality=(True,),
    kv_heads=False,
    v_head_dim=True,
    maths="own",
    rule="h_t = a_t h_(t-1) + (1 - l_t) dt_t a_t B_(t-1) x_(t-1)^T + l_t dt_t B_t x_t^T, y_t = C_t h_t + D x_t",
    edges_text="none: every past token has a weight; their matrix has rank `state` off the diagonal",
    paper_n=4096,
    notes=(
        "one input and one output a head; the form with several (MIMO: as many bytes, more FLOPs a step) is left out",
        "a token's weight is complete only with the next one's step: decoding keeps its key and value beside the state",
        "B and C are normed, shifted by a bias a head, and turned by the sum of angles so far: so they differ by head, "
        "and the products within a chunk are not shared by a group",
        "no short convolution and no norm behind it",
        "the decay depends on the data: drawn here as that of projections that give 0, with dt = 0.01",
        "chunks are powers of two: any other size is rounded up to one",
    ),
    oracle="token by token",
)
PARAMS = {
    "state": Param(128, "128 (the released configuration); half of the channels are turned", least=4),
    "chunk": Param(64, "64 (the released configuration)", least=1, most="n"),
}
EXAMPLES = ({"state": 8, "chunk": 16},)


def pattern(n: int, *, causal: bool, state: int) -> Expr:
    """The past, through a state that fades by 2^-0.01 a token."""
    return Kernel(state, causal, 2**-0.01)
