"""Decoding from a cache that keeps, or reads, a chosen part of the past: by weight so far, by votes, or by pages."""

from attnprof.pattern import Card, Dense, Expr, Param, all_pairs

CARD = Card(
    title="Evicting caches",
    bib="zhang2023h2o",
    survey_class="selected cache",
    complexity_ours="O(n^2) for the prompt, O(k) a token of decoding",
    growth=2.0,
    causality=(True,),
    maths="own",
    rule="the prompt reads all of the past; a later token the kept ones: heavy + recent of them, whatever the text",
    edges_text="n (n + 1) / 2 of the prompt",
    leaks=("a token that follows the prompt reads what the cache has kept: not the row that the forward would give",),
    notes=(
        "policy=heavy (H2O, Zhang et al. 2023): the heavy tokens with the most weight so far, and the recent ones; a "
        "step adds its weights and drops the lightest that is not recent, for good",
        "policy=votes (SnapKV, Li et al. 2024): the last `recent` queries of the prompt vote, maxima over 7 neighbours "
        "are taken, the heavy tokens with the most votes stay; what is generated is kept",
        "policy=pages (Quest, Tang et al. 2024): all is kept; pages of 16 tokens are ranked by the most that a query "
        "can give to any key between their smallest and largest channels; heavy / 16 of them are read, and the present",
        "heads that share a KV head decide together, by their sum; heavy and votes hold and read less, pages "
        "reads less and holds 1 / 16 more",
        "heavy needs the weights of the whole prompt, which no fused kernel gives",
    ),
    oracle="a loop over tokens that masks what was dropped",
)
PARAMS = {
    "policy": Param("heavy", "heavy (Zhang et al. 2023)", words=("heavy", "votes", "pages")),
    "heavy": Param(512, "512: ours; the papers keep shares of the text, or hundreds and thousands", least=1),
    "recent": Param(64, "64: ours", least=1),
}
EXAMPLES = (
    {"heavy": 12, "recent": 4},
    {"policy": "votes", "heavy": 12, "recent": 4},
    {"policy": "pages", "heavy": 32, "recent": 4},
)


def pattern(n: int) -> Expr:
    """All of the past: that of the prompt."""
    return Dense(True)


def edges(n: int) -> int:
    """n (n + 1) / 2."""
    return all_pairs(n, causal=True)


def flops_paper(n: int, *, dim: int) -> int:
    """4 n^2 D, as of dense attention: the prompt is read in full (Zhang et al. 2023 state no count)."""
    return 4 * n * n * dim


def pairs_step(n: int, *, policy: str, heavy: int, recent: int) -> int:
    """What the token after a prompt of n reads: all that is kept, or the best pages, the present one, and itself."""
    if policy == "pages":
        return min(max(heavy // 16, 1), n // 16) * 16 + n % 16 + 1
    return min(n, heavy + recent) + 1
