"""The softmax kernel, estimated without bias by positive orthogonal random features (FAVOR+)."""

from attnprof.pattern import Card, Expr, Kernel, Param

CARD = Card(
    title="Performer",
    bib="choromanski2021performer",
    survey_class="kernel",
    complexity="O(n)",
    complexity_ours="time O(n m d), space O(m d + n d + n m); causal by chunks of C: O(n C (m + d)) more",
    causality=(False, True),
    maths="own",
    rule="phi(q_i) S / (phi(q_i) z), phi(x) = (exp(w x - |x|^2 / 2 - c) + eps) / sqrt(m), x scaled by d^(-1/4)",
    edges_text="none: every weight is positive, their matrix has rank m",
    paper_n=8192,
    notes=(
        "c: for queries the maximum of each row, for keys one maximum of all read; causal, that of the past alone",
        "so a causal row is the bidirectional result over its prefix: a maximum over all keys would show it the future",
        "kernel=hyperbolic has 2 m features, exp(u) and exp(-u); relu: relu(w x) + 1e-3 (generalised attention)",
    ),
    oracle="performer_pytorch FastAttention",
)
PARAMS = {
    "features": Param(256, "256 (released code of Choromanski et al. 2021)", least=1, by_length=(256, 256, 256, 256)),
    "kernel": Param(
        "softmax",
        "softmax (Choromanski et al. 2021, lemma 1, which has hyperbolic too; relu: section 4.2)",
        least=1,
        words=("softmax", "relu", "hyperbolic"),
    ),
    "chunk": Param(128, "128: ours; the paper takes prefix sums token by token", least=1, most="n"),
}
EXAMPLES = (
    {"features": 24, "chunk": 16},
    {"features": 24, "chunk": 16, "kernel": "relu"},
    {"features": 24, "chunk": 16, "kernel": "hyperbolic"},
)


def pattern(n: int, *, causal: bool, features: int, kernel: str) -> Expr:
    """All tokens (of the past), through a kernel of bounded rank."""
    return Kernel(2 * features if kernel == "hyperbolic" else features, causal)


def flops_paper(n: int, *, dim: int, features: int, kernel: str) -> int:
    """8 n m d a head: features of q and k, the state, its reading; 12 with two features a direction.

    Choromanski et al. 2021, section 2.2.
    """
    return n * flops_paper_step(n, dim=dim, features=features, kernel=kernel)


def flops_paper_step(n: int, *, dim: int, features: int, kernel: str) -> int:
    """8 m d a head, whatever came before; 12 with two features a direction (Choromanski et al. 2021, section 2.2)."""
    return 4 * features * (3 if kernel == "hyperbolic" else 2) * dim
