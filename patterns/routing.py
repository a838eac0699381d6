"""Tokens are routed to clusters of like content, and read those that were routed to the same one."""

from functools import cached_property

import numpy as np

from attnprof.pattern import Card, Drawn, Expr, Param, Slices

LLOYD_STEPS = 10


CARD = Card(
    title="Routing Transformer",
    bib="roy2021routing",
    survey_class="learnable pattern",
    complexity="O(n sqrt(n))",
    complexity_ours="O(n k d + n^2 d / k): n sqrt(n) where k follows sqrt(n)",
    growth=1.5,
    causality=(True, False),
    maths="own",
    data_dependent=True,
    kv_heads=False,
    rule="i and j both among the w tokens nearest to one of k centroids; j <= i",
    edges_text="k w^2 pairs with multiplicity; k w (w + 1) / 2 causal with shared queries; drawn for random tokens",
    paper_n=8192,
    undecoded="a centroid takes the best of all tokens: a token more can push an earlier one out of its cluster",
    leaks=(
        "which w tokens a centroid takes is decided among all tokens: a later token can push an earlier one out of its "
        "cluster, and so change what it reads; scores of later tokens are masked",
    ),
    dead_queries="a token that no centroid takes reads nothing: its output is 0",
    notes=(
        "queries and keys are layer-normed without gain, routed so and multiplied so",
        "a token in several clusters gets the mean of their outputs",
        "sharing=causal: keys are the queries where the scheme is causal, as in the paper; always; never",
        "with shared queries a token reads itself only where it reads nothing else: its own score is -1e5",
        "centroids move by an exponential average of the tokens routed to them, between training steps (Core.learn)",
        "all heads route here; the paper's models keep half of their heads local",
    ),
    oracle="routing_transformer KmeansAttention",
)
PARAMS = {
    "clusters": Param(
        source="about sqrt(n), a function of n in the paper (Roy et al. 2021, section 4.1)",
        least=1,
        most="n",
        follows=lambda n: round(n**0.5),
        by_length=(8, 32, 64, 128),
    ),
    "window": Param(
        source="n / clusters tokens of each centroid (Roy et al. 2021, algorithm 1)",
        least=1,
        most="n",
        follows=lambda n, clusters: -(-n // clusters),
    ),
    "sharing": Param(
        "causal",
        "causal (Roy et al. 2021, algorithm 1: K <- Q under a left-to-right mask)",
        words=("causal", "always", "never"),
    ),
}
EXAMPLES = ({}, {"sharing": "never"}, {"sharing": "always"}, {"clusters": 4, "window": 16})


class _Sample:
    """Random tokens, routed by centroids that a few steps of k-means have moved."""

    def __init__(
        self, n: int, causal: bool, seed: list[int], clusters: int, window: int, shared: bool, dim: int
    ) -> None:
        self.n, self.causal, self.seed = n, causal, seed
        self.clusters, self.window, self.shared, self.dim = clusters, window, shared, dim

    @cached_property
    def members(self) -> tuple[np.ndarray, np.ndarray]:
        """Queries and keys of every cluster, `[clusters, window]` each, in the order of the sequence."""
        draw = np.random.default_rng(self.seed)
        sides = [_unit(draw.standard_normal((self.n, self.dim), dtype=np.float32)) for _ in range(2 - self.shared)]
        tokens = np.concatenate(sides)
        centroids = tokens[draw.choice(len(tokens), self.clusters, replace=False)]
        for _ in range(LLOYD_STEPS):
            nearest = (tokens @ centroids.T).argmax(1)
            found, first = np.unique(np.sort(nearest), return_index=True)
            total = np.zeros_like(centroids)
            total[found] = np.add.reduceat(tokens[np.argsort(nearest, kind="stable")], first)
            centroids = np.where(total.any(1, keepdims=True), _unit(total), centroids)
        taken = [np.sort(np.argpartition(-(centroids @ x.T), self.window - 1)[:, : self.window]) for x in sides]
        return taken[0], taken[-1]

    def pairs(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Queries `[clusters, w, 1]`, keys `[clusters, 1, w]`, and which pairs are edges."""
        query, key = self.members[0][:, :, None], self.members[1][:, None]
        return query, key, key <= query if self.causal else np.ones((1, 1, 1), dtype=np.bool_)

    def slices(self) -> Slices:
        """The edges, those of several clusters once."""
        query, key, edge = np.broadcast_arrays(*self.pairs())
        return Slices.from_pairs(self.n, query[edge], key[edge])

    def edges(self) -> int:
        """Their number, once for each cluster; it is known without drawing unless queries and keys differ."""
        if not self.causal:
            return self.clusters * self.window**2
        return self.clusters * self.window * (self.window + 1) // 2 if self.shared else int(self.pairs()[2].sum())


def _unit(x: np.ndarray) -> np.ndarray:
    """Rows of length 1."""
    return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)


def pattern(
    n: int, *, causal: bool, layer: int, head: int, seed: int, head_dim: int, clusters: int, window: int, sharing: str
) -> Expr:
    """What random tokens read: a sample."""
    shared = sharing == "always" or (sharing == "causal" and causal)
    sample = _Sample(n, causal, [seed, layer, head], clusters, window, shared, head_dim)
    return Drawn(sample.slices, sample.edges)


def flops_paper(n: int, *, dim: int, causal: bool, clusters: int, window: int, sharing: str) -> int:
    """2 n k D to route each of queries and keys, once where they are shared; 4 k w^2 D to mix, with w = n / k.

    Roy et al. 2021, section 4.1.
    """
    shared = sharing == "always" or (sharing == "causal" and causal)
    routed = 2 * n * clusters * dim * (1 if shared else 2)
    return routed + 4 * clusters * window**2 * dim
