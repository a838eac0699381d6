"""Transformer-XL with a second, coarser memory: what leaves the first is compressed, c entries into one."""

import numpy as np

from attnprof.pattern import Card, Explicit, Expr, Slices, Slots

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
    notes=(
        "compression by a convolution, kernel = stride = rate, over all of the width: 2 n D^2",
        "no gradient of the output passes into either memory: the convolution learns from an auxiliary loss alone "
        "(reconstruction of the attention to the old memory), which is not part of a pass here",
        "relative positions count entries: a slot is one entry, whatever it holds",
    ),
    sources={
        "segment": "512 (Rae et al. 2020, section 4: PG-19)",
        "memory": "512 (Rae et al. 2020, section 4: PG-19)",
        "compressed": "512 (Rae et al. 2020, section 4: PG-19)",
        "rate": "2 (Rae et al. 2020, section 4: PG-19)",
    },
    oracle="compressive_transformer_pytorch CompressiveTransformer",
)


def resolve(n: int, *, segment: int = 512, memory: int = 512, compressed: int = 512, rate: int = 2) -> dict[str, int]:
    """No segment longer than the sequence, and no more memory of either kind than comes before the last segment."""
    size = min(segment, n)
    before = (n - 1) // size * size
    kept = min(memory, before)
    return {"segment": size, "memory": kept, "compressed": min(compressed, (before - kept) // rate), "rate": rate}


def pattern(n: int, *, segment: int = 512, memory: int = 512, compressed: int = 512, rate: int = 2) -> Expr:
    """The past back to the start of the memory, and the slots before that."""
    sizes = resolve(n, segment=segment, memory=memory, compressed=compressed, rate=rate)
    i = np.arange(n)
    first = i // sizes["segment"] * sizes["segment"] - sizes["memory"]
    near = Explicit(Slices.of(n, i, first, i + 1))
    count = ((n - 1) // sizes["segment"] * sizes["segment"] - sizes["memory"]) // rate
    if not sizes["compressed"]:
        return near
    slot, done = np.arange(count), np.maximum(first, 0) // rate
    reads = Slices.of(count, slot, slot * rate, slot * rate + rate, 1, n)
    return Slots(count, reads, Slices.of(n, i, done - sizes["compressed"], done, 1, count), near)


def flops_paper(
    n: int, *, dim: int, segment: int = 512, memory: int = 512, compressed: int = 512, rate: int = 2
) -> int:
    """6 T (T + M + C) D a segment, relative positions included (Rae et al. 2020, section 3)."""
    sizes = resolve(n, segment=segment, memory=memory, compressed=compressed, rate=rate)
    return 6 * n * (sizes["segment"] + sizes["memory"] + sizes["compressed"]) * dim


def pairs(n: int, *, segment: int = 512, memory: int = 512, compressed: int = 512, rate: int = 2) -> int:
    """Tokens of the segment so far and of the memory, and the slots before that, as far as there are any."""
    sizes = resolve(n, segment=segment, memory=memory, compressed=compressed, rate=rate)
    size, kept, slots = sizes["segment"], sizes["memory"], sizes["compressed"]
    total = 0
    for start in range(0, n, size):
        length = min(size, n - start)
        before = min(kept, start) + min(slots, max(start - kept, 0) // rate)
        total += length * before + length * (length + 1) // 2
    return total


def score_products(n: int, *, segment: int = 512, memory: int = 512, compressed: int = 512, rate: int = 2) -> int:
    """A position a pair: entries of one query differ in their lags."""
    return pairs(n, segment=segment, memory=memory, compressed=compressed, rate=rate)
