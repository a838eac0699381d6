"""A softmax matrix from its rows and columns at a few landmarks, by the Nystrom method."""

from attnprof.pattern import Card, Expr, Param, Slots

CARD = Card(
    title="Nystromformer",
    bib="xiong2021nystromformer",
    survey_class="memory + downsampling",
    complexity="O(k n)",
    complexity_ours="O(n l + l^3), or O(n l^2) where F Z is multiplied first",
    causality=(False,),
    maths="own",
    rule="softmax(q kl^T) Z softmax(ql k^T) v + conv(v); ql, kl: segment means; Z: pseudo-inverse of softmax(ql kl^T)",
    edges_text="none between tokens: n landmarks from tokens to landmarks, n landmarks back, landmarks^2 among them",
    paper_n=512,
    notes=(
        "no causal form: the mean of a segment mixes its future in",
        "the order of the products decides the cost: (F Z) (B v) takes 2 n l^2, F (Z (B v)) only 2 l^2 d, as here",
        "the iterations start from each matrix's own norms; the released code takes the largest of all sequences and "
        "heads, so that the sequences of a batch meet",
        "where l does not divide n, segments differ by one token; the l x l products are 48 l^3 a head at any n",
        "six iterations are far from the true pseudo-inverse on random inputs: part of the function, not of the error",
        "for n = landmarks the released code computes dense attention instead",
    ),
    oracle="transformers NystromformerSelfAttention",
)
PARAMS = {
    "landmarks": Param(64, "64 (Xiong et al. 2021)", least=1, most="n"),
    "iterations": Param(6, "6 (Xiong et al. 2021)"),
    "conv": Param(33, "33 taps of the filter of values (Xiong et al. 2021, released code); 0: without"),
}
EXAMPLES = ({"landmarks": 8, "conv": 5}, {"landmarks": 8, "conv": 0})


def pattern(n: int, *, landmarks: int) -> Expr:
    """Every landmark reads every token, every token reads every landmark."""
    return Slots.full(n, landmarks)


def flops_paper(n: int, *, dim: int, heads: int, landmarks: int, iterations: int, conv: int) -> int:
    """Three softmax factors, the iterations' four l x l products, the chain (F Z) (B v), the filter.

    Xiong et al. 2021, complexity analysis.
    """
    d = dim // heads
    factors = 4 * n * landmarks * d + 2 * landmarks**2 * d
    chain = 2 * n * landmarks * d + 2 * n * landmarks**2 + 2 * n * landmarks * d
    return heads * (factors + iterations * 8 * landmarks**3 + chain + 2 * n * conv * d)
