"""A state-space model as masked attention: one decay for each head and token, set by the input."""

from attnprof.pattern import Card, Expr, Kernel, Param, fading_at_start

CARD = Card(
    title="Mamba-2",
    bib="dao2024mamba2",
    survey_class="linear recurrence",
    complexity_ours="O(n (Q + P) N) a head by chunks of Q",
    causality=(True,),
    kv_heads=False,
    v_head_dim=True,
    maths="own",
    rule="h_t = a_t h_(t-1) + B_t x_t^T, y_t = C_t h_t, a_t = exp(-dt_t A); weight of j: C_i B_j^T a_(j+1) ... a_i",
    edges_text="none: every past token has a weight; their matrix has rank `state` off the diagonal",
    paper_n=2048,
    notes=(
        "the decay depends on the data: drawn here as at the start of training, A uniform in [1, 16] and dt "
        "log-uniform in [0.001, 0.1], one for each head",
        "B and C are shared by the heads of a group, so C B^T is computed once a group; one group, as released",
        "a short convolution over 4 tokens stands before it; decoding keeps its last 3 inputs beside the state",
        "the paper's layer is twice as wide as the model: twice as many heads, --heads 16 --head-dim 64 for D = 512",
        "chunks are powers of two: any other size is rounded up to one",
    ),
    oracle="fla.ops.simple_gla.naive",
)
PARAMS = {
    "state": Param(128, "128 (Dao and Gu 2024, section 9.2.3; the released configuration)"),
    "groups": Param(1, "1 (the released configuration; 8 for tensor parallelism, Dao and Gu 2024, section 8)", least=1),
    "conv": Param(4, "4 tokens (the released configuration)", least=1),
    "chunk": Param(256, "256 (the released configuration); 64 in the paper's listing 1", least=1, most="n"),
}
EXAMPLES = ({"state": 6, "chunk": 16}, {"state": 6, "chunk": 16, "groups": 2})


def pattern(n: int, *, causal: bool, layer: int, head: int, seed: int, state: int) -> Expr:
    """The past, through a state that fades as it does before training."""
    return Kernel(state, causal, fading_at_start(seed, layer, head))


def flops_paper_step(n: int, *, dim: int, state: int) -> int:
    """4 N P a head (Dao and Gu 2024, section 2.1)."""
    return 4 * dim * state


def flops_paper(n: int, *, dim: int, heads: int, state: int, chunk: int) -> int:
    """2 n Q N + 2 n Q P + 4 n N P a head (Dao and Gu 2024, section 6.3)."""
    p, q = dim // heads, chunk
    return heads * (2 * n * q * (state + p) + 4 * n * state * p)
