"""The difference of two softmax maps: what both attend to, the noise, cancels out."""

from attnprof.pattern import Card

CARD = Card(
    title="Differential Transformer",
    bib="ye2025differential",
    survey_class="exact, two maps",
    complexity_ours="O(n^2)",
    growth=2.0,
    causality=(True, False),
    decode=True,
    maths="own",
    pattern_of="dense",
    rule="every j; causal: j <= i; weights softmax(q1 k1^T) - lambda softmax(q2 k2^T), which can be negative",
    edges_text="n^2; causal: n (n + 1) / 2, the same for both maps",
    paper_n=4096,
    notes=(
        "each map scores half of a head's channels: together the FLOPs of one dense head, if they are subtracted first",
        "two fused calls multiply both maps by the values: 6 n^2 D for 4 n^2 D",
        "twice the probability matrices of dense attention for the same head width",
        "lambda starts at 0.8 - 0.6 exp(-0.3 (l - 1)) in layer l; rows add up to 1 - lambda, not to 1",
    ),
    instead="attnprof cost dense: as many FLOPs, the two maps subtracted first",
    oracle="transformers DiffLlamaModel",
)
