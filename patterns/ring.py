"""Exact attention over a ring of devices: keys and values travel, queries stay."""

from attnprof.pattern import Card

CARD = Card(
    title="Ring attention",
    bib="liu2023ring",
    survey_class="exact, distributed",
    complexity_ours="O(n^2), O(n^2 / P) a device",
    growth=2.0,
    causality=(False, True),
    decode=True,
    cross=True,
    maths="own",
    pattern_of="dense",
    rule="every j; causal: j <= i; device p has queries and keys [p n / P, (p + 1) n / P)",
    edges_text="n^2; causal: n (n + 1) / 2",
    notes=(
        "the same FLOPs as dense attention: what is saved is memory a device, six blocks of n / P tokens",
        "each device sends (P - 1) 2 (n / P) g d numbers a layer: hidden where n / P >= FLOPs per byte of the link",
        "causal, contiguous blocks: the last device works P rounds, the first one; striping the tokens balances them",
    ),
    instead="attnprof cost flash: the same work, shared by the devices",
    oracle="ring_attention_pytorch RingAttention",
)
