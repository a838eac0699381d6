"""A pyramid: between its blocks of layers the sequence is pooled to half its length."""

import numpy as np

from attnprof.pattern import Card, Expr, Param, Slices, Slots

CARD = Card(
    title="Funnel-Transformer",
    bib="dai2020funnel",
    survey_class="fixed pattern + downsampling",
    complexity="O(n^2)",
    complexity_ours="O(n^2), of which a block pooled s times pays 1 / stride^(2s)",
    growth=2.0,
    causality=(False,),
    maths="own",
    rule="level s: a pooled position reads all of level s - 1 (0: every token); a token reads floor(i / stride^s)",
    edges_text="none between tokens: at level s, ceil(n / stride^s) slots that read level s - 1 completely",
    paper_n=512,
    notes=(
        "the survey calls it decodable; a pooled position reads its own future, so no token-by-token form exists",
        "layer kind s is the first layer of block s: only its queries are pooled (pool-query-only), keys are not",
        "the way back to tokens is the decoder's: each pooled position repeated stride^s times",
        "no causal form: a pooled position mixes tokens of both sides",
        "the relative position terms of the released code double the score products; [CLS] is kept out of the pooling: "
        "neither is here",
        "quadratic in every block: only the constant falls",
    ),
)
PARAMS = {
    "blocks": Param(3, "3 (Dai et al. 2020: B4-4-4H768)", least=1),
    "stride": Param(2, "2 (Dai et al. 2020)", least=1),
}
EXAMPLES = ({}, {"blocks": 2, "stride": 3}, {"blocks": 1})


def layers(*, blocks: int) -> int:
    """One kind a block."""
    return blocks


def pattern(n: int, *, layer: int, stride: int) -> Expr:
    """Block `layer`: its pooled positions as slots that see all tokens, and each token below one of them."""
    width = stride**layer
    count = -(-n // width)
    i = np.arange(n)
    reads = Slices.of(count, np.arange(count), 0, n, 1, n)
    writes = Slices.of(n, i, i // width, i // width + 1, 1, count)
    return Slots(count, reads, writes)


def flops_paper(n: int, *, dim: int, blocks: int, stride: int) -> int:
    """4 D times the pairs of each block's first layer, pooled queries by unpooled keys (Dai et al. 2020)."""
    lengths = [-(-n // stride**s) for s in range(blocks)]
    pairs = sum(length * lengths[max(s - 1, 0)] for s, length in enumerate(lengths))
    return 4 * dim * pairs
