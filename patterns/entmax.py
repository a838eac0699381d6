"""A softmax with a threshold: scores too low get exactly no weight."""

import numpy as np

from attnprof.pattern import Card, Dense, Drawn, Expr, Param, Slices, all_pairs

CARD = Card(
    title="Adaptively Sparse Transformer",
    bib="correia2019adaptively",
    survey_class="sparse",
    complexity="O(n^2)",
    complexity_ours="O(n^2 d) products, and a threshold of every row: the zeros are found, not saved",
    growth=2.0,
    causality=(False, True),
    data_dependent=True,
    maths="own",
    rule="j with (alpha - 1) q_i . k_j / sqrt(d) > tau_i, tau_i such that the weights add up to 1; causal: j <= i",
    edges_text="none in closed form: about 19 keys a query of 1024 random ones for alpha = 1.5, about 4 for alpha = 2",
    paper_n=100,
    notes=(
        "every score is computed before the threshold is known: sparse weights, dense work",
        "alpha is learned for each head, between 1 (softmax) and 2 (sparsemax): a starting value; 1 and 2 are kept",
        "the threshold is found in 12 steps over all scores, without a sort; the weights alone are kept for backward",
        "here q, k ~ N(0, I) of width 64; sharper scores have smaller supports (5 keys where their deviation is 3)",
    ),
    oracle="entmax.entmax15",
)
PARAMS = {
    "alpha": Param(1.5, "1.5 (Correia et al. 2019: the fixed baseline, and about where learned heads start)"),
}
EXAMPLES = ({}, {"alpha": 2.0})
WIDTH = 64
ROWS = 512
STEPS = 30


def pattern(n: int, *, causal: bool, layer: int, head: int, seed: int, alpha: float) -> Expr:
    """The support of the weights of random queries and keys."""
    if alpha <= 1:
        return Dense(causal)
    return Drawn(lambda: _drawn(np.random.default_rng([seed, layer, head]), n, causal, alpha))


def _drawn(draw: np.random.Generator, n: int, causal: bool, alpha: float) -> Slices:
    q, k = draw.standard_normal((2, n, WIDTH), dtype=np.float32)
    pairs = [_support(q, k, first, causal, alpha) for first in range(0, n, ROWS)]
    rows, keys = (np.concatenate(side) for side in zip(*pairs, strict=True))
    return Slices.from_pairs(n, rows, keys)


def _support(q: np.ndarray, k: np.ndarray, first: int, causal: bool, alpha: float) -> tuple[np.ndarray, np.ndarray]:
    """(queries, keys) of non-zero weight, for a chunk of queries."""
    scores = (alpha - 1) / np.sqrt(WIDTH) * (q[first : first + ROWS] @ k.T)
    if causal:
        ahead = np.arange(len(k)) > np.arange(first, first + len(scores))[:, None]
        scores[ahead] = -np.inf
    rows, keys = np.nonzero(scores > _threshold(scores, 1 / (alpha - 1))[:, None])
    return rows + first, keys


def _threshold(scores: np.ndarray, power: float) -> np.ndarray:
    """tau of each row by bisection: at least its largest score less 1, for that one alone has weight 1 there."""
    high = scores.max(axis=1).astype(np.float64)
    low = high - 1
    row, key = np.nonzero(scores > low[:, None])
    near = scores[row, key]
    first = np.searchsorted(row, np.arange(len(scores)))
    for _ in range(STEPS):
        middle = (low + high) / 2
        heavy = np.add.reduceat(np.maximum(near - middle[row], 0) ** power, first) >= 1
        low, high = np.where(heavy, middle, low), np.where(heavy, high, middle)
    return low


def pairs(n: int, *, causal: bool) -> int:
    """All: a score that gets no weight has to be known for that."""
    return all_pairs(n, causal)


def flops_paper(n: int, *, dim: int) -> int:
    """4 n^2 D: as dense attention (Correia et al. 2019)."""
    return 4 * n * n * dim
