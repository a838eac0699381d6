"""Groups of query heads share one head of keys and values."""

from attnprof.pattern import Card

CARD = Card(
    title="Grouped-query attention",
    bib="ainslie2023gqa",
    survey_class="exact, fewer KV heads",
    complexity_ours="O(n^2), with a cache of 2 g d numbers a token",
    growth=2.0,
    causality=(True, False),
    cross=True,
    maths="own",
    pattern_of="dense",
    maths_of="dense",
    rule="every j; causal: j <= i; query head a reads KV head floor(a g / h)",
    edges_text="n^2; causal: n (n + 1) / 2",
    notes=(
        "as many FLOPs in the core as dense attention: only projections, cache and decoding reads shrink, by g / h",
        "--kv-heads sets g; 1 is multi-query attention (Shazeer 2019), h is dense attention; the paper's models have 8",
        "an implementation that repeats keys and values for every head keeps none of the memory",
    ),
    oracle="torch scaled_dot_product_attention with enable_gqa",
    v_head_dim=True,
)
