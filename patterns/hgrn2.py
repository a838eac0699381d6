"""A linear recurrence whose keys are what its gates forget."""

from attnprof.pattern import Card, Expr, Kernel, Param

CARD = Card(
    title="HGRN2",
    bib="qin2024hgrn2",
    survey_class="linear recurrence",
    complexity_ours="O(n (C + d) d) a head by chunks of C",
    causality=(True,),
    kv_heads=False,
    v_head_dim=True,
    maths="own",
    rule="H_t = diag(f_t) H_(t-1) + (1 - f_t) i_t^T, o_t = q_t H_t, f_t = lower + (1 - lower) sigmoid(x_t W_f)",
    edges_text="none: every past token has a weight; their matrix has rank d, and fades with the input",
    paper_n=2048,
    notes=(
        "the decay depends on the data: drawn here as that of a gate at 0, (1 + lower) / 2 a token",
        "the lower bound of forget gates rises from layer to layer, from 0 in the first, and is learnt "
        "with all of them; here it is a number: --set lower_bound=0.9 for a higher layer",
        "the paper's heads are 128 wide: an expansion of 128",
        "chunks are powers of two: any other size is rounded up to one",
    ),
    oracle="fla.ops.gla.naive with k = 1 - e^g",
)
PARAMS = {
    "lower_bound": Param(0.0, "0: that of the first layer (the released code)"),
    "chunk": Param(64, "64: ours, as gated linear attention has it", least=1, most="n"),
}
EXAMPLES = ({"chunk": 16}, {"chunk": 16, "lower_bound": 0.5})


def pattern(n: int, *, causal: bool, head_dim: int, lower_bound: float) -> Expr:
    """The past, through a state of d rows that fades as a gate at 0 makes it."""
    return Kernel(head_dim, causal, (1 + lower_bound) / 2)
