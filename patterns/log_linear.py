"""A recurrence with a state for each of log n stretches of the past, of 1, 2, 4, ... tokens."""

from attnprof.pattern import Card, Expr, Kernel, Param, fading_at_start

CARD = Card(
    title="Log-linear attention",
    bib="guo2025loglinear",
    survey_class="linear recurrence",
    complexity_ours="O(n (C + P) N + n log(n / C) N P) a head by chunks of C",
    growth=1.1,
    causality=(True,),
    kv_heads=False,
    v_head_dim=True,
    maths="own",
    rule="o_i = sum over j <= i of scale_i(level) a_(j+1) ... a_i (q_i k_j) v_j, level = bits of i xor j",
    edges_text="none: every past token has a weight; their matrix has rank `state` for each of log n levels",
    paper_n=16384,
    notes=(
        "Mamba-2 with a weight for every level; the gated delta rule takes it in the same way",
        "a weight is of a query and a level, not of a key",
        "decoding keeps and reads a state for every bit of n that is set: ten after 1,023 tokens, one after 1,024",
        "chunks are powers of two: any other size is rounded up to one",
        "the decay depends on the data: drawn here as Mamba-2's, at the start of training",
    ),
    oracle="fla.ops.log_linear_attn.naive",
)
PARAMS = {
    "state": Param(128, "128 (Guo et al. 2025: that of Mamba-2)"),
    "groups": Param(1, "1 (that of Mamba-2)", least=1),
    "conv": Param(4, "4 tokens (that of Mamba-2)", least=1),
    "levels": Param(24, "24: ours, enough for 8,388,607 tokens", least=2),
    "chunk": Param(64, "64 (the released kernel)", least=1, most="n"),
}
EXAMPLES = ({"state": 6, "chunk": 8, "levels": 12}, {"state": 6, "chunk": 8, "levels": 12, "groups": 2})


def pattern(n: int, *, causal: bool, layer: int, head: int, seed: int, state: int) -> Expr:
    """The past, through a state a level, each of which fades as it does before training."""
    return Kernel(state * n.bit_length(), causal, fading_at_start(seed, layer, head))
