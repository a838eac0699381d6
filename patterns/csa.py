"""The last tokens one by one, and those entries of four tokens of the past that an indexer scores best."""

import numpy as np

from attnprof.pattern import Band, Card, Drawn, Expr, Param, Slices, band_pairs

CARD = Card(
    title="Compressed sparse attention",
    bib="deepseek2026v4",
    survey_class="selected entries",
    complexity_ours="O(n (w + k)) for the attention, O(n^2 / m) for the indexer",
    growth=None,
    causality=(True,),
    data_dependent=True,
    kv_heads=False,
    maths="own",
    rule="0 <= i - j < window; of entries w, means of the tokens [(w - 1) m, (w + 1) m), with (w + 1) m <= i + 1, the "
    "topk with the largest sum over index heads of w_i relu(q_i . k_w)",
    edges_text="n w - w (w - 1) / 2 tokens, sum over i of min(topk, floor((i + 1) / m)) entries",
    paper_n=65536,
    notes=(
        "the indexer is still quadratic: n^2 index_heads (index_dim + 1) / m FLOPs over the causal half",
        "all heads share one vector a token, which is key and value, and one an entry; index keys stand beside entries",
        "an entry mixes two windows of m tokens, the first of them by values and scores of its own",
        "each head has a learned sink; windows are computed in blocks with the block before, twice what they need",
        "left out: the latent of queries, the grouped output projection, rotary positions; no gradient comes to the "
        "indexer from the output",
        "drawn as tokens that the chosen entries are made of, with entries chosen evenly among the complete ones",
    ),
    oracle="transformers DeepseekV4Attention",
)
PARAMS = {
    "window": Param(
        128,
        "128 (the released configuration of DeepSeek-V4); with the token itself, which 0 and 1 leave alone",
        most="n",
    ),
    "rate": Param(4, "4 tokens an entry (the released configuration of DeepSeek-V4)", least=1),
    "topk": Param(512, "512 entries (the released configuration of DeepSeek-V4)", least=1),
    "index_heads": Param(64, "64 (the released configuration of DeepSeek-V4)", least=1),
    "index_dim": Param(128, "128 (the released configuration of DeepSeek-V4)", least=1),
}
EXAMPLES = (
    {"window": 16, "topk": 6, "index_heads": 4, "index_dim": 8},
    {"window": 16, "rate": 3, "topk": 64, "index_heads": 4, "index_dim": 8},
)


def pattern(n: int, *, layer: int, seed: int, window: int, rate: int, topk: int) -> Expr:
    """The window, and the tokens of chosen entries."""
    near = Band(max(window, 1) - 1)
    return near | Drawn(lambda: _sample(n, [seed, layer], rate, topk)) if n >= rate else near


def _sample(n: int, seed: list[int], rate: int, topk: int) -> Slices:
    """The tokens of entries that are drawn evenly for every query."""
    draw, rows, starts = np.random.default_rng(seed), [], []
    for i in range(rate - 1, n):
        complete = (i + 1) // rate
        rows.append(np.full(min(topk, complete), i))
        starts.append(draw.choice(complete, min(topk, complete), replace=False))
    row, entry = np.concatenate(rows), np.concatenate(starts)
    order = np.lexsort((entry, row))
    row, entry = row[order], entry[order]
    return Slices.of(n, row, np.maximum(entry - 1, 0) * rate, (entry + 1) * rate).disjoint()


def pairs(n: int, *, window: int, rate: int, topk: int) -> int:
    """Tokens of the window, and chosen entries."""
    count = n // rate
    early = min(count, topk)  # entry e is the e-th that a query may read from token e rate - 1 on
    return band_pairs(n, max(window, 1) - 1) + sum(n + 1 - rate * entry for entry in range(1, early + 1))


def flops_paper(n: int, *, dim: int, window: int, rate: int, topk: int, index_heads: int, index_dim: int) -> int:
    """4 D a pair, as the model's code reads them; n^2 / m H (d_I + 1) for the indexer over the past."""
    return 4 * dim * pairs(n, window=window, rate=rate, topk=topk) + n * n // rate * index_heads * (index_dim + 1)


def state_numbers(n: int, *, head_dim: int, window: int, rate: int, index_dim: int) -> int:
    """A vector of each of the last tokens, one an entry and its index key, and what the next entry is made of."""
    waiting = n % rate + (rate if n >= rate else 0)
    return head_dim * min(n, max(window, 1)) + (head_dim + index_dim) * (n // rate + 4 * waiting)
