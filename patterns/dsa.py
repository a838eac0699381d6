"""A light indexer scores every past token; attention then reads the best k of them."""

import numpy as np

from attnprof.pattern import Card, Drawn, Expr, Param, Slices, all_pairs

CARD = Card(
    title="DeepSeek sparse attention",
    bib="deepseek2025v32",
    survey_class="selected tokens",
    complexity_ours="O(n k) for the attention, O(n^2) for the indexer, with a small constant",
    growth=None,
    causality=(True,),
    data_dependent=True,
    maths="own",
    rule="the topk tokens s <= t with the largest sum over index heads of w_t relu(q_t . k_s)",
    edges_text="sum over t of min(t + 1, topk), whichever tokens are chosen",
    paper_n=131072,
    notes=(
        "the indexer is still quadratic: n^2 index_heads index_dim FLOPs over the causal half, then a top-k a row",
        "all heads of a layer read the same tokens; nothing is sparse before topk tokens",
        "here over multi-head or grouped-query attention; the released models choose for latent attention (mla)",
        "the indexer learns from the attention's own weights, by a loss that is not here: no gradient reaches it; its "
        "rotary positions and its reading of the query latent are left out",
        "queries are gone through in stretches, so that scores and chosen keys stay within a budget of memory; in "
        "training the keys are gathered again",
        "the cache grows by index_dim numbers a token for the indexer's keys",
        "drawn by 4 index heads with queries, keys and weights from N(0, I): nearly uniform over the past",
    ),
    oracle="transformers DeepseekV32Indexer",
)
PARAMS = {
    "topk": Param(2048, "2048 (DeepSeek-AI 2025, section 2.1.1)", most="n"),
    "index_heads": Param(64, "64 (the released configuration of DeepSeek-V3.2)"),
    "index_dim": Param(128, "128 (the released configuration of DeepSeek-V3.2)"),
}
EXAMPLES = (
    {"topk": 16, "index_heads": 4, "index_dim": 8},
    {"topk": 64, "index_heads": 4, "index_dim": 8},
    {"topk": 1, "index_heads": 1, "index_dim": 8},
)
ROWS = 64
SAMPLED_HEADS = 4


def pattern(n: int, *, layer: int, seed: int, topk: int, index_dim: int) -> Expr:
    """All of the past for the first topk queries, then the best keys of random index vectors."""
    return Drawn(lambda: _sample(n, [seed, layer], topk, index_dim), lambda: edges(n, topk=topk))


def _sample(n: int, seed: list[int], topk: int, index_dim: int) -> Slices:
    """The edges of random index vectors."""
    early = np.arange(topk)
    parts = [(early, np.zeros_like(early), early + 1)]
    draw = np.random.default_rng(seed)
    k = draw.standard_normal((n, index_dim), dtype=np.float32)
    for first in range(topk, n, ROWS):
        rows = min(ROWS, n - first)
        scores = _index_scores(draw, k[: first + rows], rows)
        scores[np.arange(first + rows) > np.arange(first, first + rows)[:, None]] = -np.inf
        best = np.argpartition(scores, first + rows - topk, axis=1)[:, first + rows - topk :]
        row, start, stop = _runs(best, first + rows)
        parts.append((row + first, start, stop))
    row, start, stop = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Slices.of(n, row, start, stop)


def _index_scores(draw: np.random.Generator, k: np.ndarray, rows: int) -> np.ndarray:
    """Scores `[rows, keys]` of random index queries and weights."""
    q = draw.standard_normal((rows * SAMPLED_HEADS, k.shape[1]), dtype=np.float32)
    weights = draw.standard_normal((rows, 1, SAMPLED_HEADS), dtype=np.float32)
    relu = np.maximum(q @ k.T, 0).reshape(rows, SAMPLED_HEADS, len(k))
    return (weights @ relu)[:, 0]


def _runs(keys: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(row, start, stop) of the chosen keys, neighbouring ones joined."""
    chosen = np.zeros((len(keys), width + 2), dtype=np.int8)
    np.put_along_axis(chosen, keys + 1, 1, axis=1)
    change = np.diff(chosen, axis=1)
    row, start = np.nonzero(change == 1)
    return row, start, np.nonzero(change == -1)[1]


def edges(n: int, *, topk: int) -> int:
    """A triangle of topk rows, then topk keys a query."""
    return all_pairs(topk, causal=True) + (n - topk) * topk


def flops_paper(n: int, *, dim: int, topk: int, index_heads: int, index_dim: int) -> int:
    """4 n k D for the attention; for the indexer n^2 H d over the past, and n^2 H to weigh its heads.

    DeepSeek-AI 2025, equations 1 and 2.
    """
    return 4 * n * topk * dim + n * n * index_heads * (index_dim + 1)
