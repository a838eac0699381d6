"""Two windows: a narrow one of tokens, and a wide one of pooled keys."""

import numpy as np

from attnprof.pattern import Band, Card, Expr, Param, Slices, Slots

CARD = Card(
    title="Poolingformer",
    bib="zhang2021poolingformer",
    survey_class="fixed pattern + memory",
    complexity="O(n)",
    complexity_ours="O(n (window + pooled_window / stride))",
    causality=(False,),
    maths="own",
    rule="|i - j| <= window / 2; and pooled keys p, |i - stride p| <= pooled_window / 2, of `kernel` tokens each",
    edges_text="n (w + 1) - (w/2) (w/2 + 1) between tokens; about n pooled_window / stride to pooled keys",
    paper_n=4096,
    notes=(
        "two attentions in a row with projections of their own: the pooled keys read what the window wrote, so that "
        "one layer reaches both windows one after the other",
        "n / stride slots: no bottleneck, the pooled keys only coarsen what is far",
    ),
)
PARAMS = {
    "window": Param(256, "256: 128 to each side (Zhang et al. 2021)", most=lambda n: 2 * n - 2),
    "pooled_window": Param(1024, "1024: 512 to each side (Zhang et al. 2021)", most=lambda n: 2 * n - 2),
    "kernel": Param(5, "5 (Zhang et al. 2021)", least=1),
    "stride": Param(4, "4 (Zhang et al. 2021)", least=1),
}
EXAMPLES = ({}, {"window": 8, "pooled_window": 32})


def pattern(n: int, *, window: int, pooled_window: int, kernel: int, stride: int) -> Expr:
    """The band, and then slots that pool `kernel` tokens every `stride`, read within the wide window."""
    count = -(-n // stride)
    slot, i, half = np.arange(count), np.arange(n), pooled_window // 2
    reads = Slices.of(count, slot, slot * stride, slot * stride + kernel, 1, n)
    writes = Slices.of(n, i, -((half - i) // stride), (i + half) // stride + 1, 1, count)
    return Slots(count, reads, writes, Band(window // 2, window // 2), in_a_row=True)


def flops_paper(n: int, *, dim: int, window: int, pooled_window: int, stride: int) -> int:
    """4 n (window + 1 + pooled_window / stride) D, the token's own key counted, the second projections apart.

    Zhang et al. 2021.
    """
    return 4 * n * (min(window + 1, n) + min(pooled_window, n) // stride) * dim
