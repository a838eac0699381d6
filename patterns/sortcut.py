"""Blocks of keys are sorted by content, and every token reads the first few of them."""

import numpy as np

from attnprof.pattern import BlockTable, Card, Expr

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
        "the sorting is soft: a kept block is a weighted sum of all; hard=true keeps the blocks of the largest weights "
        "by index, with the gradient straight through to those weights; the drawn pattern is that",
        "a short last block holds no keys beyond n: hard, they are absent from the place that keeps it; soft, a "
        "position that it lacks is a sum of the other blocks, whose weights there are scaled up to the sum of the row",
        "in training mode Gumbel noise of scale gumbel is added to the scores; evaluation, the gate and measurement "
        "have none; one sorting serves all heads",
    ),
    sources={
        "block": "16 (Tay et al. 2020, section 4.4: 2 blocks of 16 tokens)",
        "sorted_blocks": "2 (Tay et al. 2020, section 4.4)",
        "temperature": "0.75 (Tay et al. 2020, section 4.6)",
        "iterations": "8: ours; the rows of random scores then sum to 1 within about 1 percent",
        "gumbel": "1: standard noise (Tay et al. 2020, section 3.2)",
        "hard": "false (Tay et al. 2020, section 3.2: soft while training)",
    },
)


def resolve(n: int, *, block: int = 16, sorted_blocks: int = 2) -> dict[str, int]:
    """A block no longer than the sequence, no more blocks than it has."""
    size = min(block, n)
    return {"block": size, "sorted_blocks": min(sorted_blocks, -(-n // size))}


def pattern(
    n: int,
    *,
    layer: int = 0,
    seed: int = 0,
    block: int = 16,
    sorted_blocks: int = 2,
    temperature: float = 0.75,
    iterations: int = 8,
    gumbel: float = 1.0,
    hard: bool = False,
) -> Expr:
    """A few random blocks, read by all."""
    count = -(-n // block)
    kept = np.random.default_rng([seed, layer]).permutation(count)[:sorted_blocks]
    return BlockTable(block, np.tile(np.sort(kept), (count, 1)))


def flops_paper(n: int, *, dim: int, block: int = 16, sorted_blocks: int = 2, hard: bool = False) -> int:
    """4 n c B D with c blocks kept, and 4 c n D to sort keys and values softly into them.

    Tay et al. 2020, section 3.4.
    """
    return 4 * n * sorted_blocks * block * dim + (0 if hard else 4 * sorted_blocks * n * dim)
