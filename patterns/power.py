"""Blocks at distances 0, 1, 2, 4, 8, ...: the receptive field doubles with every layer."""

import numpy as np

from attnprof.pattern import BlockTable, Card, Expr, Offsets, Param, block_pairs

CARD = Card(
    title="PowerAttention",
    bib="chen2025powerattention",
    survey_class="fixed pattern",
    complexity_ours="O(n log n)",
    growth=1.1,
    causality=(True,),
    rule="floor(i / block) - floor(j / block) is 0 or a power of two, j <= i",
    edges_text="n + sum over t of (n - 2^t), 2^t < n, for block = 1",
    paper_n=32768,
    notes=(
        "a distance takes as many hops as it has binary ones: log2 n layers reach everything",
        "the offsets alone: the paper adds a local window and sink tokens",
        "block=1 has the edges of LogSparse attention; larger blocks make tiles that kernels can use",
    ),
    oracle="dense mask",
)
PARAMS = {
    "block": Param(1, "1: distances in tokens, as in the argument (Chen et al. 2025)", least=1, most="n"),
}
EXAMPLES = ({}, {"block": 8}, {"block": 7})


def pattern(n: int, *, block: int) -> Expr:
    """Offsets of single tokens, or a row of key blocks for each block of queries."""
    count = -(-n // block)
    lags = (0, *(2**t for t in range((count - 1).bit_length())))
    if block == 1:
        return Offsets(lags)
    table = np.arange(count)[:, None] - np.array(lags)
    return BlockTable(block, np.where(table >= 0, table, -1), causal=True)


def edges(n: int, *, block: int) -> int:
    """Triangles on the diagonal, and the queries of every block that has one at distance 2^t, by a block of keys."""
    count = -(-n // block)
    return block_pairs(n, block, causal=True) + sum((n - 2**t * block) * block for t in range((count - 1).bit_length()))


def flops_paper(n: int, *, dim: int, block: int) -> int:
    """4 n log2(n) D in tokens (Chen et al. 2025), the logarithm rounded up."""
    return 4 * n * block * (-(-n // block) - 1).bit_length() * dim
