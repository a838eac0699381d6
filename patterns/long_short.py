"""A window of neighbours, and a few projections of the whole sequence, under one softmax."""

import numpy as np

from attnprof.pattern import Band, BlockTable, Card, Expr, Param, Slices, Slots

CARD = Card(
    title="Long-Short Transformer",
    bib="zhu2021longshort",
    survey_class="fixed pattern + low rank",
    complexity="O(k n)",
    complexity_ours="O(n (w + r)); causal: O(n w + n^2 r / l), r = chunk_rank, l = chunk",
    growth=None,
    kv_heads=False,
    causality=(False, True),
    maths="own",
    rule="own block, window / 2 to each side, rank slots; causal: 0 <= i - j < window, slots of completed chunks",
    edges_text="between tokens those of the window, about 2 w a query; n rank from tokens to slots and back",
    notes=(
        "causal queries read chunk_rank slots of every completed chunk, on average n r / (2 l): still quadratic",
        "the projection weights depend on the keys, so tokens to slots is complete whatever the input",
        "keys of the window and keys of the slots are normalised apart (DualLN) before the one softmax",
    ),
)
PARAMS = {
    "window": Param(
        128,
        "128 (Zhu et al. 2021); 512 in its character language models; 0 and 1 leave the token itself alone",
        most=lambda n: n + 1,
    ),
    "rank": Param(32, "32 slots, bidirectional (Zhu et al. 2021: Long Range Arena)", least=1),
    "chunk": Param(16, "16, causal (Zhu et al. 2021: character language models)", least=1),
    "chunk_rank": Param(1, "1 slot a chunk, causal (Zhu et al. 2021)"),
}
EXAMPLES = ({}, {"window": 16, "rank": 4}, {"window": 8, "chunk": 8, "chunk_rank": 2})


def pattern(n: int, *, causal: bool, window: int, rank: int, chunk: int, chunk_rank: int) -> Expr:
    """Slots over all tokens (causal: over each completed chunk), with the window beside them."""
    if not causal:
        return Slots.full(n, rank, _extended_blocks(n, window))
    count = n // chunk * chunk_rank
    slot, i = np.arange(count), np.arange(n)
    first = slot // chunk_rank * chunk
    reads = Slices.of(count, slot, first, first + chunk, 1, n) if count else Slices.empty(0, n)
    writes = Slices.of(n, i, 0, i // chunk * chunk_rank, 1, count)
    return Slots(count, reads, writes, Band(max(window, 1) - 1))


def _extended_blocks(n: int, window: int) -> Expr:
    """Each block of `window` tokens (an odd one: one more) reads itself and half a block to each side; of 1, itself."""
    if window < 2:
        return Band(0)
    half = -(-window // 2)
    count = -(-n // half)
    own = np.arange(count) // 2 * 2
    table = own[:, None] + np.arange(-1, 3)
    return BlockTable(half, np.where((table >= 0) & (table < count), table, -1))


def flops_paper(n: int, *, dim: int, causal: bool, window: int, rank: int, chunk: int, chunk_rank: int) -> int:
    """Scores and values over window and slots, and the projections to slots (Zhu et al. 2021)."""
    if causal:
        slots = n * n * chunk_rank // (2 * chunk)
        return 4 * dim * (n * window + slots) + 6 * n * dim * chunk_rank
    return 4 * n * (min(2 * window, n) + rank) * dim + 6 * n * dim * rank
