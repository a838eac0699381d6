"""Exact attention in tiles with an online softmax: nothing of size n x n leaves the cache."""

from attnprof.pattern import Card

CARD = Card(
    title="FlashAttention",
    bib="dao2022flashattention",
    survey_class="exact, fused",
    complexity="O(n^2)",
    growth=2.0,
    causality=(False, True),
    cross=True,
    maths="own",
    pattern_of="dense",
    maths_of="dense",
    impls=("sdpa", "flash_attn"),
    rule="every j; causal: j <= i",
    edges_text="n^2; causal: n (n + 1) / 2",
    notes=("torch's fused kernel; its backward computes the scores again: 2.5 times the forward's work",),
    oracle="explicit softmax",
)
