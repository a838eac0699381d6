"""Pixels in raster order: blocks of queries that share one block of memory."""

from attnprof.pattern import Card, Expr, Halo, Param

CARD = Card(
    title="Image Transformer, 1-D local",
    bib="parmar2018image",
    survey_class="fixed pattern",
    complexity="O(n m)",
    complexity_ours="O(n (l_q + l_m)): the memory of a block is the block itself and l_m tokens before it",
    causality=(True, False),
    rule="c l_q - l_m <= j <= i with c = floor(i / l_q); bidirectional: up to (c + 1) l_q + l_m",
    edges_text="n l_m + n (l_q + 1) / 2 - l_m (l_m + l_q) / 2, for l_q dividing n and l_m",
    paper_n=3072,
    notes=(
        "with l_m = l_q this is block-local attention with one block of look-back",
        "the attention matrices are n / l_q of l_q x m, not n of them",
    ),
    oracle="local_attention.LocalAttention",
)
PARAMS = {
    "query_block": Param(256, "256 (Parmar et al. 2018, section 5.1)", least=1, most="n"),
    "memory_block": Param(256, "256: memory of 512 with the block itself (Parmar et al. 2018, section 5.1)", most="n"),
}
EXAMPLES = ({"query_block": 16, "memory_block": 8}, {"query_block": 16, "memory_block": 32})


def pattern(n: int, *, causal: bool, query_block: int, memory_block: int) -> Expr:
    """The own block and `memory_block` tokens before it (and after it, unless causal)."""
    return Halo(query_block, memory_block, 0 if causal else memory_block, causal)


def edges(n: int, *, causal: bool, query_block: int, memory_block: int) -> int:
    """Own blocks (or their triangles), and for each block the memory that exists beside it."""
    whole, rest = divmod(n, query_block)
    sizes = [query_block] * whole + ([rest] if rest else [])
    total = 0
    for at, size in enumerate(sizes):
        before = min(memory_block, at * query_block)
        after = 0 if causal else min(memory_block, n - at * query_block - size)
        total += size * (before + after) + (size * (size + 1) // 2 if causal else size * size)
    return total


def flops_paper(n: int, *, dim: int, causal: bool, query_block: int, memory_block: int) -> int:
    """4 n m D with a memory of m = l_q + l_m keys, as many again after it unless causal, n at most.

    Parmar et al. 2018, section 4.2.
    """
    return 4 * n * min(query_block + memory_block * (1 if causal else 2), n) * dim
