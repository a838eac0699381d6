"""Blocks as experts: each query attends to its own block and to those whose mean key suits it best."""

import numpy as np

from attnprof.pattern import Card, Drawn, Expr, Param, Slices, block_pairs

CARD = Card(
    title="Mixture of block attention",
    bib="lu2025moba",
    survey_class="selected blocks",
    complexity_ours="O(n k B + n^2 / B): the gate scores every block",
    growth=1.0,
    causality=(True,),
    data_dependent=True,
    maths="own",
    rule="j <= i in the own block, or in one of the topk - 1 past blocks with the largest q_i . mean(K_block)",
    edges_text="sum over i of i mod B + 1 + B min(topk - 1, floor(i / B)), whichever blocks are chosen",
    paper_n=8192,
    notes=(
        "the gate takes 2 n (n / block) d a head: quadratic, and as much as the attention from n = 2 topk block^2 on",
        "the own block counts as one of the topk and is masked causally; blocks not yet complete cannot be chosen",
        "one softmax over the union, computed as two calls merged by their normalisers",
        "queries are sorted by the block that they chose, and each block's are filled up to whole tiles of 32: what is "
        "executed is what the fullest tiles would take, whatever is chosen",
        "here q, k ~ N(0, I) of width 64: block means are then nearly equal, so the choice is nearly uniform",
    ),
)
PARAMS = {
    "block": Param(512, "512 (Lu et al. 2025, section 3.1: scaling runs at 8k)", least=1, most="n"),
    "topk": Param(3, "3 (Lu et al. 2025, section 3.1)"),
}
EXAMPLES = ({"block": 16}, {}, {"block": 8, "topk": 1}, {"topk": 5})
WIDTH = 64


def pattern(n: int, *, layer: int, head: int, seed: int, block: int, topk: int) -> Expr:
    """The own block up to the query, and the best past blocks of random queries and keys."""
    return Drawn(lambda: _sample(n, [seed, layer, head], block, topk), lambda: edges(n, block=block, topk=topk))


def _sample(n: int, seed: list[int], block: int, topk: int) -> Slices:
    """The edges of random queries and keys."""
    draw = np.random.default_rng(seed)
    q, k = draw.standard_normal((2, n, WIDTH), dtype=np.float32)
    i, whole = np.arange(n), n // block
    gate = q @ k[: whole * block].reshape(whole, block, WIDTH).mean(axis=1).T
    gate[np.arange(whole) >= (i // block)[:, None]] = -np.inf
    wanted = min(topk - 1, whole)
    best = np.argpartition(-gate, wanted - 1, axis=1)[:, :wanted] if wanted > 0 else np.zeros((n, 0), dtype=np.int64)
    past = np.where(np.isinf(np.take_along_axis(gate, best, axis=1)), n, best * block)
    start = np.column_stack([past, i // block * block])
    return Slices.of(n, i[:, None], start, np.minimum(start + block, i[:, None] + 1)).disjoint()


def edges(n: int, *, block: int, topk: int) -> int:
    """A triangle in each block, and as many whole past blocks as there are to choose."""
    whole, rest = divmod(n, block)
    sizes = [block] * whole + [rest]
    return block_pairs(n, block, causal=True) + sum(size * block * min(topk - 1, at) for at, size in enumerate(sizes))


def flops_paper(n: int, *, dim: int, block: int, topk: int) -> int:
    """4 n k B D for the chosen blocks, n keys at most; 2 n (n / B) D for the gate (Lu et al. 2025, section 2.2)."""
    return 4 * n * min(topk * block, n) * dim + 2 * n * (n // block) * dim
