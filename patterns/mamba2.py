"""A state-space model as masked attention: one decay for each head and token, set by the input."""

import numpy as np

from attnprof.pattern import Card, Expr, Kernel

CARD = Card(
    title="Mamba-2",
    bib="dao2024mamba2",
    survey_class="linear recurrence",
    complexity="",
    complexity_ours="O(n (Q + P) N) a head by chunks of Q",
    causality=(True,),
    decode=True,
    kv_heads=False,
    maths="own",
    rule="h_t = a_t h_(t-1) + B_t x_t^T, y_t = C_t h_t, a_t = exp(-dt_t A); weight of j: C_i B_j^T a_(j+1) ... a_i",
    edges_text="none: every past token has a weight; their matrix has rank `state` off the diagonal",
    paper_n=2048,
    notes=(
        "the decay depends on the data: drawn here as at the start of training, A uniform in [1, 16] and dt "
        "log-uniform in [0.001, 0.1], one for each head",
        "B and C are shared by the heads of a group, so C B^T is computed once a group",
        "a short convolution over 4 tokens stands before it",
    ),
    sources={
        "state": "128 (Dao and Gu 2024, section 9.2.3; the released configuration)",
        "chunk": "256 (the released configuration); 64 in the paper's listing 1",
    },
    oracle="transformers Mamba2Model",
)


def resolve(n: int, *, chunk: int = 256) -> dict[str, int]:
    """No chunk longer than the sequence."""
    return {"chunk": min(chunk, n)}


def pattern(
    n: int, *, causal: bool = True, layer: int = 0, head: int = 0, seed: int = 0, state: int = 128, chunk: int = 256
) -> Expr:
    """The past, through a state that fades as it does before training."""
    draw = np.random.default_rng([seed, layer, head])
    rate = draw.uniform(1, 16) * np.exp(draw.uniform(np.log(0.001), np.log(0.1)))
    return Kernel(state, causal, float(np.exp(-rate)))


def flops_paper(n: int, *, dim: int, heads: int, state: int = 128, chunk: int = 256) -> int:
    """2 n Q N + 2 n Q P + 4 n N P a head (Dao and Gu 2024, section 6.3)."""
    p, q = dim // heads, min(chunk, n)
    return heads * (2 * n * q * (state + p) + 4 * n * state * p)
