"""Blocks of keys are sorted by content: each block reads itself, and the block that the sorting puts beside it."""

import numpy as np

from attnprof.pattern import BlockTable, Card, Expr, Param

CARD = Card(
    title="Sinkhorn Transformer",
    bib="tay2020sinkhorn",
    survey_class="learnable pattern",
    complexity="O(B^2)",
    complexity_ours="O(n B) to mix tokens and O(n^2 / B) to mix blocks: the survey's O(B^2) is that of one block",
    growth=None,
    causality=(False, True),
    maths="own",
    data_dependent=True,
    kv_heads=False,
    rule="J = I, or J the block sorted to I; causal: j <= i, and only earlier blocks are sorted to I",
    edges_text="2 n B for B dividing n, if the permutation moves every block; drawn",
    paper_n=1024,
    undecoded="no step is written: each new block is balanced against all places before it",
    notes=(
        "the sorting is soft: block I reads a weighted sum of all blocks, S K with S nearly doubly stochastic, which "
        "costs 4 n^2 D / B: a quadratic term; hard=true takes the block of the largest weight by index, without that "
        "term (the scores of block pairs stay), and passes the gradient straight through to that weight",
        "the drawn pattern is that of hard sorting, one block each",
        "causal: S mixes earlier blocks only, its scores come from earlier tokens, and its columns are normalised over "
        "the places so far, so that nothing leaks; the first block reads itself alone",
        "a short last block holds no keys beyond n: hard, they are absent from the place that takes it; soft, a "
        "position that it lacks is a sum of the other blocks, whose weights there are scaled up to the sum of the row",
        "in training mode Gumbel noise of scale gumbel is added to the scores; evaluation, the gate and measurement "
        "have none; one sorting serves all heads",
    ),
    oracle="sinkhorn_transformer, the causal form",
)
PARAMS = {
    "block": Param(
        64,
        "64 (Tay et al. 2020, section 4: blocks of 16 to 64 tokens)",
        least=1,
        most="n",
        by_length=(64, 64, 128, 256),
    ),
    "temperature": Param(0.75, "0.75 (Tay et al. 2020, section 4.6)"),
    "iterations": Param(8, "8: ours; the rows of random scores then sum to 1 within about 1 percent"),
    "gumbel": Param(1.0, "1: standard noise (Tay et al. 2020, section 3.2)"),
    "hard": Param(False, "false (Tay et al. 2020, section 3.2: soft while training)"),
}
EXAMPLES = ({"block": 8}, {"block": 8, "hard": True})


def pattern(n: int, *, causal: bool, layer: int, seed: int, block: int) -> Expr:
    """The own block and that of a random permutation; causal: a random earlier one."""
    count = -(-n // block)
    draw = np.random.default_rng([seed, layer])
    own = np.arange(count)
    sorted_here = (draw.random(count) * own).astype(np.int64) if causal else draw.permutation(count)
    beside = np.where(own == 0, -1, sorted_here) if causal else sorted_here
    return BlockTable(block, np.stack([beside, own], axis=1), causal=causal)


def flops_paper(n: int, *, dim: int, block: int, hard: bool) -> int:
    """4 n 2 B D for the two blocks, 4 (n / B)^2 B D to sort keys and values softly (Tay et al. 2020, section 3.3)."""
    return 8 * n * block * dim + (0 if hard else 4 * n * n * dim // block)
