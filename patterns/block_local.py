"""Disjoint blocks: each token reads its own block, and on request the blocks beside it."""

from attnprof.pattern import Blocks, Card, Expr, Param, block_pairs

CARD = Card(
    title="Block-local attention",
    bib="qiu2020blockbert",
    survey_class="fixed pattern",
    complexity="O(n B)",
    causality=(False, True),
    rule="floor(j / B) from floor(i / B) - look_back to floor(i / B) + look_back; causal: no later block, j <= i",
    edges_text="n B for B dividing n and look_back 0; causal: n (B + 1) / 2, and (n - B) B more for look_back 1",
    notes=(
        "a block is no window: its first token sees nothing before it",
        "with look_back 0 the blocks never hear of each other, at any depth",
        "look_back reads as many blocks after as before, except under causality",
    ),
    oracle="local_attention.LocalAttention",
)
PARAMS = {
    "block": Param(
        256,
        "256 (Liu et al. 2018, section 4.2.4: blocks of 256 tokens)",
        least=1,
        most="n",
        by_length=(128, 256, 256, 512),
    ),
    "look_back": Param(0, "0 (Qiu et al. 2020, section 3.1: blocks attend within themselves)", by_length=(1, 1, 1, 1)),
}
EXAMPLES = ({"block": 16, "look_back": 1}, {"block": 16})


def pattern(n: int, *, causal: bool, block: int, look_back: int) -> Expr:
    """The own block and `look_back` blocks before it (and after it, unless causal)."""
    return Blocks(block, look_back, 0 if causal else look_back, causal)


def edges(n: int, *, causal: bool, block: int, look_back: int) -> int:
    """Own blocks (or their triangles), and every pair of blocks at most `look_back` apart; the last may be short."""
    whole, rest = divmod(n, block)
    pairs = sum(
        max(whole - lag, 0) * block**2 + (rest * block if whole >= lag else 0) for lag in range(1, look_back + 1)
    )
    return block_pairs(n, block, causal) + (pairs if causal else 2 * pairs)


def flops_paper(n: int, *, dim: int, causal: bool, block: int, look_back: int) -> int:
    """4 n B D: linear in n (Qiu et al. 2020, section 3.2), for each block read, n keys at most."""
    blocks = 1 + look_back * (1 if causal else 2)
    return 4 * n * min(block * blocks, n) * dim
