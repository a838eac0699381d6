"""Layers of overlapping windows, then layers that attend among tokens sorted by cluster."""

import numpy as np

from attnprof.pattern import Card, Drawn, Explicit, Expr, KeyTable, Param, Slices, block_pairs

CARD = Card(
    title="Cluster-Former",
    bib="wang2021clusterformer",
    survey_class="learnable pattern",
    complexity="O(n log n)",
    causality=(False,),
    data_dependent=True,
    kv_heads=False,
    maths="own",
    rule="layer 0: i and j in one window [stride t, stride t + window); layer 1: in one chunk of the tokens by cluster",
    edges_text="layer 0: sum of |w_t|^2 less the sum of |w_t and w_(t+1)|^2; layer 1: sum of the chunks' sizes squared",
    paper_n=10000,
    notes=(
        "clusters come from k-means over a memory bank of hidden states, renewed now and then: here over the tokens in "
        "the graph; what is executed holds its centres, and `learn` renews them",
        "a chunk is a cut of the sorted tokens: it can hold the end of one cluster and the start of the next",
        "assigning tokens takes n clusters products; only the sorting is the n log n of the survey",
        "here the hidden states are N(0, I) of width 64",
    ),
)
PARAMS = {
    "window": Param(256, "256 (Wang et al. 2021); also the length of a chunk", least=1),
    "stride": Param(
        224,
        "224 (Wang et al. 2021); no more than a window, or tokens between windows would be in none",
        least=1,
        most="window",
    ),
    "clusters": Param(512, "512 (Wang et al. 2021)", least=1, most="n"),
    "iterations": Param(10, "10: ours; the paper leaves k-means to a library"),
}
EXAMPLES = ({"window": 16, "stride": 14, "clusters": 9}, {"window": 32, "stride": 8, "clusters": 5})
WIDTH = 64


def layers() -> int:
    """A layer of windows, a layer of clusters."""
    return 2


def pattern(n: int, *, layer: int, seed: int, window: int, stride: int, clusters: int, iterations: int) -> Expr:
    """Windows in even layers, chunks of the tokens sorted by cluster in odd ones."""
    if layer % 2 == 0:
        return _windows(n, window, stride)
    return Drawn(lambda: _chunks(np.random.default_rng([seed, layer]), n, window, clusters, iterations).slices(n))


def _chunks(draw: np.random.Generator, n: int, window: int, clusters: int, iterations: int) -> KeyTable:
    order = np.argsort(_kmeans(draw, n, clusters, iterations), kind="stable")
    table = np.full((-(-n // window), window), -1)
    table.ravel()[:n] = order
    chunk = np.empty(n, dtype=np.int64)
    chunk[order] = np.arange(n) // window
    return KeyTable(table[chunk])


def _windows(n: int, window: int, stride: int) -> Expr:
    """Token i reads from the start of the first window that has it to the end of the last one."""
    i, last = np.arange(n), -(-max(n - window, 0) // stride)
    first = np.maximum(-((window - 1 - i) // stride), 0)
    return Explicit(Slices.of(n, i, first * stride, np.minimum(i // stride, last) * stride + window))


def _kmeans(draw: np.random.Generator, n: int, count: int, iterations: int) -> np.ndarray:
    """The cluster of each of n random hidden states; an empty cluster keeps its centre."""
    x = draw.standard_normal((n, WIDTH), dtype=np.float32)
    centre = x[draw.choice(n, count, replace=False)]
    for _ in range(iterations):
        mine = _nearest(x, centre)
        total = np.zeros_like(centre)
        np.add.at(total, mine, x)
        size = np.bincount(mine, minlength=count)[:, None]
        centre = np.where(size > 0, total / np.maximum(size, 1), centre).astype(np.float32)
    return _nearest(x, centre)


def _nearest(x: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """Index of the centre closest to each row."""
    return (x @ centre.T - (centre**2).sum(axis=1) / 2).argmax(axis=1)


def edges(n: int, *, layer: int, window: int, stride: int) -> int:
    """Pairs within a window, those of two windows once; or pairs within a chunk, whichever tokens it holds."""
    if layer % 2:
        return block_pairs(n, window)
    starts = range(0, -(-max(n - window, 0) // stride) * stride + 1, stride)
    ends = [min(start + window, n) for start in starts]
    both = sum(max(end - start, 0) ** 2 for start, end in zip(starts[1:], ends, strict=False))
    return sum((end - start) ** 2 for start, end in zip(starts, ends, strict=True)) - both


def flops_paper(n: int, *, dim: int, window: int, stride: int, clusters: int) -> int:
    """4 w^2 D for each window of one layer; in the other 4 n w D in chunks, and 2 n C D to find the clusters.

    Wang et al. 2021, its two kinds of layers.
    """
    width = min(window, n)
    windows = 1 + -(-max(n - window, 0) // stride)
    return 4 * windows * width**2 * dim + 4 * n * width * dim + 2 * n * clusters * dim
