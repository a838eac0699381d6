"""Blocks of keys are sorted by content, and every token reads the first few of them."""

import numpy as np

from attnprof.pattern import BlockTable, Card, Expr, Param

CARD = Card(
    title="SortCut Sinkhorn Transformer",
    bib="tay2020sinkhorn",
    survey_class="learnable pattern",
    complexity="O(n)",
    complexity_ours="O(n c B) to mix tokens with c blocks kept, O(c n) to sort them, (n / B)^2 scores to balance",
    causality=(False,),
    maths="own",
    data_dependent=True,
    kv_heads=False,
    rule="j in one of the first sorted_blocks blocks after sorting, the same for every i",
    edges_text="n c B; drawn",
    paper_n=1024,
    notes=(
        "an encoder's scheme: the blocks that are kept are chosen among all",
        "the sorting network scores every pair of blocks: 2 (n / block)^2 D, a quadratic term outside the core",
        "the sorting is soft: a kept block is a weighted sum of all; hard=true keeps the blocks of the largest weights "
        "by index, with the gradient straight through to those weights; the drawn pattern is that",
        "a short last block holds no keys beyond n: hard, they are absent from the place that keeps it; soft, a "
        "position that it lacks is a sum of the other blocks, whose weights there are scaled up to the sum of the row",
        "in training mode Gumbel noise of scale gumbel is added to the scores; evaluation, the gate and measurement "
        "have none; one sorting serves all heads",
    ),
)
PARAMS = {
    "block": Param(
        16, "16 (Tay et al. 2020, section 4.4: 2 blocks of 16 tokens)", least=1, most="n", by_length=(64, 64, 128, 256)
    ),
    "sorted_blocks": Param(2, "2 (Tay et al. 2020, section 4.4)", least=1, most=lambda n, block: -(-n // block)),
    "temperature": Param(0.75, "0.75 (Tay et al. 2020, section 4.6)"),
    "iterations": Param(8, "8: ours; the rows of random scores then sum to 1 within about 1 percent"),
    "gumbel": Param(1.0, "1: standard noise (Tay et al. 2020, section 3.2)"),
    "hard": Param(False, "false (Tay et al. 2020, section 3.2: soft while training)"),
}
EXAMPLES = ({"block": 8}, {"block": 8, "hard": True}, {"block": 8, "sorted_blocks": 3})


def pattern(n: int, *, layer: int, seed: int, block: int, sorted_blocks: int) -> Expr:
    """A few random blocks, read by all."""
    count = -(-n // block)
    kept = np.random.default_rng([seed, layer]).permutation(count)[:sorted_blocks]
    return BlockTable(block, np.tile(np.sort(kept), (count, 1)))


def flops_paper(n: int, *, dim: int, block: int, sorted_blocks: int, hard: bool) -> int:
    """4 n c B D with c blocks kept, and 4 c n D to sort keys and values softly into them.

    Tay et al. 2020, section 3.4.
    """
    return 4 * n * sorted_blocks * block * dim + (0 if hard else 4 * sorted_blocks * n * dim)
