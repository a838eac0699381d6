"""Transformer-XL with a second, coarser memory: what leaves the first is compressed, c entries into one."""

import numpy as np

from attnprof.pattern import Card, Explicit, Expr, Param, Slices, Slots


def _before(n: int, *, segment: int) -> int:
    """No more memory than comes before the last segment."""
    return (n - 1) // segment * segment


def _older(n: int, *, segment: int, memory: int, rate: int) -> int:
    """Slots that are full before that."""
    return (_before(n, segment=segment) - memory) // rate


CARD = Card(
    title="Compressive Transformer",
    bib="rae2020compressive",
    survey_class="recurrence",
    complexity="O(n^2)",
    complexity_ours="O(n (T + M + C)): quadratic in the segment, linear in n",
    causality=(True,),
    maths="own",
    rule="0 <= i - j and j >= T floor(i / T) - M; and the last C slots of `rate` tokens each before that",
    edges_text="between tokens those of Transformer-XL; n to slots, at most n C back",
    undecoded="no step is written: what leaves the memory is compressed by a convolution over the tokens of a slot",
    notes=(
        "compression by a convolution, kernel = stride = rate, over all of the width: 2 n D^2",
        "no gradient of the output passes into either memory: the convolution learns from an auxiliary loss alone "
        "(reconstruction of the attention to the old memory), which is not part of a pass here",
        "relative positions count entries: a slot is one entry, whatever it holds",
    ),
    oracle="compressive_transformer_pytorch CompressiveTransformer",
)
PARAMS = {
    "segment": Param(512, "512 (Rae et al. 2020, section 4: PG-19)", least=1, most="n", by_length=(128, 512, 512, 768)),
    "memory": Param(512, "512 (Rae et al. 2020, section 4: PG-19)", most=_before, by_length=(128, 512, 512, 768)),
    "compressed": Param(512, "512 (Rae et al. 2020, section 4: PG-19)", most=_older, by_length=(128, 512, 1024, 3072)),
    "rate": Param(2, "2 (Rae et al. 2020, section 4: PG-19)", least=1, by_length=(2, 2, 3, 3)),
}
EXAMPLES = (
    {"segment": 16, "memory": 24, "compressed": 10, "rate": 3},
    {"segment": 16, "memory": 0, "compressed": 10, "rate": 3},
    {"segment": 40, "memory": 24, "compressed": 10, "rate": 3},
    {"segment": 16, "memory": 16, "compressed": 8},
)


def pattern(n: int, *, segment: int, memory: int, compressed: int, rate: int) -> Expr:
    """The past back to the start of the memory, and the slots before that."""
    i = np.arange(n)
    first = i // segment * segment - memory
    near = Explicit(Slices.of(n, i, first, i + 1))
    count = _older(n, segment=segment, memory=memory, rate=rate)
    if not compressed:
        return near
    slot, done = np.arange(count), np.maximum(first, 0) // rate
    reads = Slices.of(count, slot, slot * rate, slot * rate + rate, 1, n)
    return Slots(count, reads, Slices.of(n, i, done - compressed, done, 1, count), near)


def flops_paper(n: int, *, dim: int, segment: int, memory: int, compressed: int, rate: int) -> int:
    """6 T (T + M + C) D a segment, relative positions included (Rae et al. 2020, section 3)."""
    return 6 * n * (segment + memory + compressed) * dim


def pairs(n: int, *, segment: int, memory: int, compressed: int, rate: int) -> int:
    """Tokens of the segment so far and of the memory, and the slots before that, as far as there are any."""
    total = 0
    for start in range(0, n, segment):
        length = min(segment, n - start)
        before = min(memory, start) + min(compressed, max(start - memory, 0) // rate)
        total += length * before + length * (length + 1) // 2
    return total


def score_products(n: int, *, segment: int, memory: int, compressed: int, rate: int) -> int:
    """A position a pair: entries of one query differ in their lags."""
    return pairs(n, segment=segment, memory=memory, compressed=compressed, rate=rate)
