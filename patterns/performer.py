"""The softmax kernel, estimated without bias by positive orthogonal random features (FAVOR+)."""

from attnprof.pattern import Card, Expr, Kernel

CARD = Card(
    title="Performer",
    bib="choromanski2021performer",
    survey_class="kernel",
    complexity="O(n)",
    complexity_ours="time O(n m d), space O(m d + n d + n m); causal by chunks of C: O(n C (m + d)) more",
    causality=(False, True),
    maths="own",
    decode=True,
    rule="phi(q_i) S / (phi(q_i) z), phi(x) = (exp(w x - |x|^2 / 2 - c) + eps) / sqrt(m), x scaled by d^(-1/4)",
    edges_text="none: every weight is positive, their matrix has rank m",
    paper_n=8192,
    notes=(
        "c: for queries the maximum of each row, for keys one maximum of all read; causal, that of the past alone",
        "so a causal row is the bidirectional result over its prefix: a maximum over all keys would show it the future",
        "kernel=hyperbolic has 2 m features, exp(u) and exp(-u); relu: relu(w x) + 1e-3 (generalised attention)",
    ),
    choices={"kernel": ("softmax", "relu", "hyperbolic")},
    sources={
        "features": "256 (released code of Choromanski et al. 2021)",
        "kernel": "softmax (Choromanski et al. 2021, lemma 1, which has hyperbolic too; relu: section 4.2)",
        "chunk": "128: ours; the paper takes prefix sums token by token",
    },
    oracle="performer_pytorch FastAttention",
)


def resolve(n: int, *, chunk: int = 128) -> dict[str, int]:
    """No chunk longer than the sequence."""
    return {"chunk": min(chunk, n)}


def pattern(n: int, *, causal: bool = False, features: int = 256, kernel: str = "softmax", chunk: int = 128) -> Expr:
    """All tokens (of the past), through a kernel of bounded rank."""
    return Kernel(2 * features if kernel == "hyperbolic" else features, causal)


def flops_paper(n: int, *, dim: int, features: int = 256, kernel: str = "softmax") -> int:
    """8 n m d a head: features of q and k, the state, its reading; 12 with two features a direction.

    Choromanski et al. 2021, section 2.2.
    """
    return n * flops_paper_step(n, dim=dim, features=features, kernel=kernel)


def flops_paper_step(n: int, *, dim: int, features: int = 256, kernel: str = "softmax") -> int:
    """8 m d a head, whatever came before; 12 with two features a direction (Choromanski et al. 2021, section 2.2)."""
    return 4 * features * (3 if kernel == "hyperbolic" else 2) * dim
