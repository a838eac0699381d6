"""Queries that look alike share one row of attention, that of their mean."""

import numpy as np

from attnprof.pattern import Card, Expr, KeyTable, Slices, Slots

CARD = Card(
    title="Clustered attention",
    bib="vyas2020clustered",
    survey_class="learnable pattern",
    complexity="",
    complexity_ours="O(n (C + k + bits))",
    causality=(False,),
    data_dependent=True,
    maths="own",
    rule="i copies softmax(mean of its cluster's queries . k); the topk keys of the cluster are scored exactly for i",
    edges_text="none between tokens but the n topk exact ones: n C from tokens to clusters, n back",
    notes=(
        "the keys are not clustered: every query sees all keys, but through one of C rows, so C bounds the rank",
        "the clusters depend on the queries of all positions: no causal form",
        "topk=0 is the plain variant; with topk the exact scores take the place of the shared ones on those keys",
        "here q, k ~ N(0, I) of width 64: a trained model clusters far less evenly",
    ),
    sources={
        "clusters": "100 (Vyas et al. 2020)",
        "topk": "32, the improved variant (Vyas et al. 2020)",
        "bits": "63 hash bits (Vyas et al. 2020)",
        "iterations": "10 of Lloyd's algorithm in Hamming space (Vyas et al. 2020)",
    },
)
WIDTH = 64


def resolve(n: int, *, clusters: int = 100, topk: int = 32) -> dict[str, int]:
    """No more clusters, and no more exact keys, than tokens."""
    return {"clusters": min(clusters, n), "topk": min(topk, n)}


def pattern(
    n: int,
    *,
    layer: int = 0,
    head: int = 0,
    seed: int = 0,
    clusters: int = 100,
    topk: int = 32,
    bits: int = 63,
    iterations: int = 10,
) -> Expr:
    """A slot a cluster that reads every token; each token reads its cluster, and the cluster's best keys itself."""
    draw = np.random.default_rng([seed, layer, head])
    q, k = draw.standard_normal((2, n, WIDTH), dtype=np.float32)
    signs = np.sign(q @ draw.standard_normal((WIDTH, bits), dtype=np.float32))
    count = min(clusters, n)
    mine = lloyd(draw, signs, count, iterations)
    slot = np.arange(count)
    reads, writes = Slices.of(count, slot, 0, n, 1, n), Slices.of(n, np.arange(n), mine, mine + 1, 1, count)
    if not topk:
        return Slots(count, reads, writes)
    best = np.argpartition(-means(q, mine, count) @ k.T, min(topk, n) - 1, axis=1)[:, :topk]
    return Slots(count, reads, writes, KeyTable(best[mine]))


def lloyd(draw: np.random.Generator, signs: np.ndarray, count: int, iterations: int) -> np.ndarray:
    """The cluster of every row: nearest centre by Hamming distance, centres the majority of their rows' bits."""
    centre = signs[draw.choice(len(signs), count, replace=False)]
    for _ in range(iterations):
        mine = (signs @ centre.T).argmax(axis=1)
        centre = np.where(np.bincount(mine, minlength=count)[:, None] > 0, np.sign(means(signs, mine, count)), centre)
    return (signs @ centre.T).argmax(axis=1)


def means(x: np.ndarray, mine: np.ndarray, count: int) -> np.ndarray:
    """The mean row of each cluster, zero for an empty one."""
    total = np.zeros((count, x.shape[1]), dtype=x.dtype)
    np.add.at(total, mine, x)
    return total / np.maximum(np.bincount(mine, minlength=count), 1)[:, None].astype(x.dtype)


def flops_paper(n: int, *, dim: int, heads: int, clusters: int = 100, topk: int = 32, bits: int = 63) -> int:
    """4 n C D, 4 n k D for the exact keys, 2 n bits D to hash (Vyas et al. 2020)."""
    return 4 * n * (clusters + topk) * dim + 2 * n * bits * dim
