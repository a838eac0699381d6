"""The last tokens one by one, and one entry for every 128 tokens of the past, all of them."""

import numpy as np

from attnprof.pattern import Band, Card, Expr, Param, Slices, Slots, band_pairs

CARD = Card(
    title="Heavily compressed attention",
    bib="deepseek2026v4",
    survey_class="compressed keys",
    complexity_ours="O(n (w + n / m)): entries are read by all, n^2 / m of them, and lead from n = m w on",
    growth=None,
    causality=(True,),
    kv_heads=False,
    maths="own",
    rule="0 <= i - j < window; entry w, a mean of the tokens [w m, (w + 1) m), where (w + 1) m <= i + 1",
    edges_text="n w - w (w - 1) / 2 tokens, sum over i of floor((i + 1) / m) entries",
    paper_n=65536,
    notes=(
        "all heads share one vector a token, which is key and value, and one an entry: what is cached is d (w + n / m)",
        "an entry is a mean of the values of m tokens, weighted channel by channel; before it is complete, its tokens "
        "are read one by one alone",
        "each head has a learned sink; windows are computed in blocks with the block before, twice what they need",
        "left out: the latent of queries, the grouped output projection, rotary positions and their inverse on outputs",
    ),
    oracle="transformers DeepseekV4Attention",
)
PARAMS = {
    "window": Param(
        128,
        "128 (the released configuration of DeepSeek-V4); with the token itself, which 0 and 1 leave alone",
        most="n",
    ),
    "rate": Param(128, "128 tokens an entry (the released configuration of DeepSeek-V4)", least=1),
}
EXAMPLES = ({"window": 16, "rate": 8}, {}, {"window": 4, "rate": 3})


def pattern(n: int, *, window: int, rate: int) -> Expr:
    """Entries as slots, and the window beside them."""
    count, i = n // rate, np.arange(n)
    slot = np.arange(count)
    reads = Slices.of(count, slot, slot * rate, slot * rate + rate, 1, n)
    writes = Slices.of(n, i, 0, (i + 1) // rate, 1, max(count, 1))
    return Slots(count, reads, writes, Band(max(window, 1) - 1)) if count else Band(max(window, 1) - 1)


def pairs(n: int, *, window: int, rate: int) -> int:
    """Tokens of the window, and entries that are complete."""
    count = n // rate
    return band_pairs(n, max(window, 1) - 1) + count * n - rate * count * (count + 1) // 2 + count


def flops_paper(n: int, *, dim: int, window: int, rate: int) -> int:
    """4 D a pair, as the model's code reads them; its paper is not the source."""
    return 4 * dim * pairs(n, window=window, rate=rate)


def state_numbers(n: int, *, head_dim: int, window: int, rate: int) -> int:
    """A vector of each of the last tokens, one an entry, and value and score of each token that waits."""
    return head_dim * (min(n, max(window, 1)) + n // rate + 2 * (n % rate))
