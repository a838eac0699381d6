"""Queries that look alike share one row of attention, that of their mean."""

import numpy as np

from attnprof.pattern import Card, DrawnSlots, Expr, KeyTable, Param, Slices, Slots

CARD = Card(
    title="Clustered attention",
    bib="vyas2020clustered",
    survey_class="learnable pattern",
    complexity_ours="O(n (C + k + bits))",
    causality=(False,),
    data_dependent=True,
    kv_heads=False,
    maths="own",
    rule="i copies softmax(mean of its cluster's queries . k); the topk keys of the cluster are scored exactly for i",
    edges_text="none between tokens but the n topk exact ones: n C from tokens to clusters, n back",
    notes=(
        "the keys are not clustered: every query sees all keys, but through one of C rows, so C bounds the rank",
        "the clusters depend on the queries of all positions: no causal form",
        "topk=0 is the plain variant; with topk the exact scores take the place of the shared ones on those keys",
        "Hamming distances are products of signs here: 2 n C bits an iteration, booked as selection with the hash",
        "here q, k ~ N(0, I) of width 64: a trained model clusters far less evenly",
    ),
)
PARAMS = {
    "clusters": Param(100, "100 (Vyas et al. 2020)", least=1, most="n"),
    "topk": Param(32, "32, the improved variant (Vyas et al. 2020)", most="n"),
    "bits": Param(63, "63 hash bits (Vyas et al. 2020)"),
    "iterations": Param(10, "10 of Lloyd's algorithm in Hamming space (Vyas et al. 2020)"),
}
EXAMPLES = ({"clusters": 7, "topk": 5}, {"clusters": 7, "topk": 0})
WIDTH = 64


def pattern(n: int, *, layer: int, head: int, seed: int, clusters: int, topk: int, bits: int, iterations: int) -> Expr:
    """A slot a cluster that reads every token; each token reads its cluster, and the cluster's best keys itself."""
    draw = np.random.default_rng([seed, layer, head])
    return DrawnSlots(clusters, lambda: _drawn(draw, n, clusters, topk, bits, iterations))


def _drawn(draw: np.random.Generator, n: int, clusters: int, topk: int, bits: int, iterations: int) -> Slots:
    q, k = draw.standard_normal((2, n, WIDTH), dtype=np.float32)
    signs = np.sign(q @ draw.standard_normal((WIDTH, bits), dtype=np.float32))
    mine = _lloyd(draw, signs, clusters, iterations)
    slot = np.arange(clusters)
    reads, writes = Slices.of(clusters, slot, 0, n, 1, n), Slices.of(n, np.arange(n), mine, mine + 1, 1, clusters)
    if not topk:
        return Slots(clusters, reads, writes)
    best = np.argpartition(-_means(q, mine, clusters) @ k.T, topk - 1, axis=1)[:, :topk]
    return Slots(clusters, reads, writes, KeyTable(best[mine]))


def _lloyd(draw: np.random.Generator, signs: np.ndarray, count: int, iterations: int) -> np.ndarray:
    """The cluster of every row: nearest centre by Hamming distance, centres the majority of their rows' bits."""
    centre = signs[draw.choice(len(signs), count, replace=False)]
    for _ in range(iterations):
        mine = (signs @ centre.T).argmax(axis=1)
        centre = np.where(np.bincount(mine, minlength=count)[:, None] > 0, np.sign(_means(signs, mine, count)), centre)
    return (signs @ centre.T).argmax(axis=1)


def _means(x: np.ndarray, mine: np.ndarray, count: int) -> np.ndarray:
    """The mean row of each cluster, zero for an empty one."""
    total = np.zeros((count, x.shape[1]), dtype=x.dtype)
    np.add.at(total, mine, x)
    return total / np.maximum(np.bincount(mine, minlength=count), 1)[:, None].astype(x.dtype)


def flops_paper(n: int, *, dim: int, clusters: int, topk: int, bits: int) -> int:
    """4 n C D, 4 n k D for the exact keys, 2 n bits D to hash (Vyas et al. 2020)."""
    return 4 * n * (clusters + topk) * dim + 2 * n * bits * dim
