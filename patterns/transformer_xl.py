"""Segments that read themselves and a memory of the tokens before them."""

import numpy as np

from attnprof.pattern import Band, Card, Explicit, Expr, Param, Slices

CARD = Card(
    title="Transformer-XL",
    bib="dai2019transformerxl",
    survey_class="recurrence",
    complexity="O(n^2)",
    complexity_ours="O(n (T + M)): quadratic in the segment, linear in n",
    causality=(True,),
    maths="own",
    rule="0 <= i - j and j >= T floor(i / T) - M; same_length: and i - j <= M",
    edges_text="sum over i of i - max(0, T floor(i / T) - M) + 1; same_length: n (M + 1) - M (M + 1) / 2",
    paper_n=512,
    notes=(
        "no gradient passes into the memory: in training its keys and values are projected once more, without",
        "positions are relative: one product more a pair, 6 T (M + T) D a segment instead of 4",
        "fewer KV heads share the keys of positions too; u and w are those of each query head",
        "reach grows by M a layer, gradient stays within the segment",
        "the state of decoding counts the projected positions too, (T + M + 1) D numbers, which all sequences share",
    ),
    oracle="transformers TransfoXLModel (4.40)",
)
PARAMS = {
    "segment": Param(
        512,
        "512 (released code of Dai et al. 2019: enwik8, 12 layers; 150 for WikiText-103)",
        least=1,
        most=lambda n: n + 1,
        by_length=(128, 512, 512, 512),
    ),
    "memory": Param(
        512,
        "512: as long as the segment in training (released code of Dai et al. 2019)",
        most="n",
        by_length=(128, 512, 512, 1600),
    ),
    "same_length": Param(False, "false; true keeps M + 1 keys a query, which makes segments invisible (evaluation)"),
}
EXAMPLES = (
    {"segment": 16, "memory": 24},
    {"segment": 16, "memory": 24, "same_length": True},
    {"segment": 16, "memory": 200, "same_length": True},
    {"segment": 16, "memory": 0},
    {"segment": 48, "memory": 24},
    {"segment": 16, "memory": 16},
    {"segment": 16, "memory": 8, "same_length": True},
)


def pattern(n: int, *, segment: int, memory: int, same_length: bool) -> Expr:
    """The past, back to the start of the memory."""
    if same_length:
        return Band(memory)
    i = np.arange(n)
    return Explicit(Slices.of(n, i, i // segment * segment - memory, i + 1))


def edges(n: int, *, segment: int, memory: int, same_length: bool) -> int:
    """Each query's place in its segment and the memory before that, as far as there is one."""
    if same_length:
        return n * (memory + 1) - memory * (memory + 1) // 2
    whole, rest = divmod(n, segment)
    lengths = [segment] * whole + [rest]
    before = sum(length * min(memory, at * segment) for at, length in enumerate(lengths))
    return before + sum(length * (length + 1) // 2 for length in lengths)


def flops_paper(n: int, *, dim: int, segment: int, memory: int) -> int:
    """6 T (M + T) D a segment, as far as n tokens fill it: content, position, values (Dai et al. 2019, section 3.3)."""
    size = min(segment, n)
    return 6 * n * (min(memory, (n - 1) // size * size) + size) * dim


def score_products(n: int, *, segment: int, memory: int, same_length: bool) -> int:
    """A position a pair: the keys of one query differ in their lags."""
    return edges(n, segment=segment, memory=memory, same_length=same_length)
