"""A prompt is read block by block: each block of queries reads its own and the past blocks with the best mean score."""

import numpy as np

from attnprof.pattern import Card, Drawn, Expr, Param, Slices, block_pairs

CARD = Card(
    title="Block-sparse prefill",
    bib="jiang2024minference",
    survey_class="selected blocks",
    complexity_ours="O(n k B): scores of (n / B)^2 pairs of blocks decide, a term of n^2 / B^2 products",
    causality=(True,),
    data_dependent=True,
    maths="own",
    rule="j <= i in the own block, or in one of the topk - 1 past blocks with the largest mean(Q_I) . mean(K_J)",
    edges_text="sum over i of i mod B + 1 + B min(topk - 1, floor(i / B)), whichever blocks are chosen",
    paper_n=131072,
    undecoded="for a prompt alone; tokens that follow read all keys, as in dense attention (MInference, section 3)",
    leaks=(
        "which blocks a query reads is decided by the mean of its block's queries, later ones among them; scores of "
        "later tokens are masked",
    ),
    notes=(
        "without training, for the prompt alone: tokens that follow read all keys, as in dense attention",
        "the gate takes 2 (n / B)^2 d a head: quadratic, with the factor 1 / B^2",
        "MInference finds per head which of three patterns it has, and keeps 100 blocks of 64 where it is this one; "
        "XAttention (Xu et al. 2025) scores blocks by their antidiagonals, for n^2 d / stride, and keeps as many as "
        "hold a share of the weight",
        "here q, k ~ N(0, I) of width 64: block means are then nearly equal, so the choice is nearly uniform",
    ),
    oracle="a dense mask by the definition",
)
PARAMS = {
    "block": Param(64, "64 (Jiang et al. 2024, algorithm 3)", least=1, most="n"),
    "topk": Param(16, "16: ours, 1,024 tokens; Jiang et al. 2024 keep 100"),
}
EXAMPLES = ({"block": 8, "topk": 4}, {}, {"block": 16, "topk": 1})
WIDTH = 64


def pattern(n: int, *, layer: int, head: int, seed: int, block: int, topk: int) -> Expr:
    """The own block up to the query, and the best past blocks of random queries and keys."""
    return Drawn(lambda: _sample(n, [seed, layer, head], block, topk), lambda: edges(n, block=block, topk=topk))


def _sample(n: int, seed: list[int], block: int, topk: int) -> Slices:
    """The edges of random means: of B vectors from N(0, I), N(0, I / B)."""
    draw, i, count = np.random.default_rng(seed), np.arange(n), -(-n // block)
    q, k = draw.standard_normal((2, count, WIDTH), dtype=np.float32)
    gate = np.where(np.arange(count) < np.arange(count)[:, None], q @ k.T, -np.inf)
    wanted = max(min(topk - 1, count - 1), 0)
    best = np.argsort(-gate, axis=1, kind="stable")[:, :wanted]
    first = np.where(np.isinf(np.take_along_axis(gate, best, axis=1)), n, best * block)
    start = np.column_stack([first[i // block], i // block * block])
    return Slices.of(n, i[:, None], start, np.minimum(start + block, i[:, None] + 1)).disjoint()


def edges(n: int, *, block: int, topk: int) -> int:
    """A triangle in each block, and as many whole past blocks as there are to choose."""
    whole, rest = divmod(n, block)
    sizes, wanted = [block] * whole + [rest], max(topk - 1, 0)
    return block_pairs(n, block, causal=True) + sum(size * block * min(wanted, at) for at, size in enumerate(sizes))


def flops_paper(n: int, *, dim: int, block: int, topk: int) -> int:
    """4 n k B D for the chosen blocks, n keys at most; 2 (n / B)^2 D for the gate (Jiang et al. 2024, algorithm 3)."""
    return 4 * n * min(topk * block, n) * dim + 2 * (n // block) ** 2 * dim
