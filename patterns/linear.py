"""Attention as a product of feature maps: a sum over the past that fits in a d x d state."""

from attnprof.pattern import Card, Expr, Kernel, Param

CARD = Card(
    title="Linear Transformer",
    bib="katharopoulos2020linear",
    survey_class="kernel",
    complexity="O(n)",
    complexity_ours="O(n d^2); causal by chunks of C: O(n d^2 + n C d), all of it products",
    causality=(True, False),
    maths="own",
    rule="phi(q_i) S / (phi(q_i) z), S = sum of phi(k_j) v_j^T, z = sum of phi(k_j); causal: over j <= i",
    edges_text="none: every weight is positive, their matrix has rank d",
    notes=(
        "not scaled by 1 / sqrt(d); 1e-6 is added to the normaliser",
        "bidirectional: two products; causal: chunks with running sums; decoding: a state of d (d + 1) numbers a head",
        "chunk >= n is the quadratic parallel form: one masked n x n product",
    ),
    oracle="fla.ops.linear_attn.naive",
)
PARAMS = {
    "feature": Param(
        "elu",
        "elu: elu(x) + 1 (Katharopoulos et al. 2020, equation 7); poly2 is x (x) x (section 3.2.1)",
        words=("elu", "relu", "poly2"),
    ),
    "chunk": Param(
        64, "64: ours; the paper's kernel goes token by token", least=1, most="n", by_length=(64, 64, 128, 128)
    ),
}
EXAMPLES = ({"chunk": 16}, {"chunk": 16, "feature": "relu"}, {"chunk": 16, "feature": "poly2"}, {"chunk": 4096})


def pattern(n: int, *, causal: bool, head_dim: int, feature: str) -> Expr:
    """All tokens (of the past), through a kernel of bounded rank."""
    return Kernel(head_dim**2 if feature == "poly2" else head_dim, causal)


def flops_paper(n: int, *, dim: int, heads: int, feature: str) -> int:
    """4 n m d a head, whether causal or not, with m = d features, or d^2 (Katharopoulos et al. 2020, section 3.2)."""
    return n * flops_paper_step(n, dim=dim, heads=heads, feature=feature)


def flops_paper_step(n: int, *, dim: int, heads: int, feature: str) -> int:
    """4 m d a head, whatever came before (Katharopoulos et al. 2020, equations 18 to 20)."""
    return 4 * dim * (dim // heads) ** (2 if feature == "poly2" else 1)
