"""Attention by random Fourier features: sines and cosines whose products estimate the softmax kernel."""

from attnprof.pattern import Card, Expr, Kernel, Param

CARD = Card(
    title="Random Feature Attention",
    bib="peng2021rfa",
    survey_class="kernel",
    complexity="O(n)",
    causality=(True, False),
    complexity_ours="O(n m d); causal by chunks of C: O(n C (m + d)) more, all of it products",
    maths="own",
    rule="phi(q_i) . phi(k_j), phi(x) = [sin(W x), cos(W x)] / sqrt(features), q and k of unit length; causal: j <= i",
    edges_text="none: every pair has a weight; their matrix has rank 2 features at most",
    notes=(
        "a feature can be negative, so the normaliser can come near 0: it must be clamped: here at 1e-2",
        "an optional gate forgets the past at a rate that depends on the input: not written here",
        "W is drawn again for every training step, from a pool of 200; here once; its scale sigma is learned",
    ),
)
PARAMS = {
    "features": Param(64, "64 random vectors, so 128 features (Peng et al. 2021: language models)", least=1),
    "chunk": Param(64, "64: ours; the paper's kernel goes token by token", least=1, most="n"),
}
EXAMPLES = ({"features": 24, "chunk": 16}, {"features": 24, "chunk": 4096})


def pattern(n: int, *, causal: bool, features: int) -> Expr:
    """All tokens (of the past), through a kernel of bounded rank."""
    return Kernel(2 * features, causal)


def flops_paper(n: int, *, dim: int, features: int) -> int:
    """12 n m d a head: random features of q and k, then 2 m features through the sums (Peng et al. 2021)."""
    return 12 * n * features * dim
