"""Segments that read themselves and a memory of the tokens before them."""

import numpy as np

from attnprof.pattern import Band, Card, Explicit, Expr, Slices

CARD = Card(
    title="Transformer-XL",
    bib="dai2019transformerxl",
    survey_class="recurrence",
    complexity="O(n^2)",
    complexity_ours="O(n (T + M)): quadratic in the segment, linear in n",
    causality=(True,),
    maths="own",
    decode=True,
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
    sources={
        "segment": "512 (released code of Dai et al. 2019: enwik8, 12 layers; 150 for WikiText-103)",
        "memory": "512: as long as the segment in training (released code of Dai et al. 2019)",
        "same_length": "false; true keeps M + 1 keys a query, which makes segments invisible (evaluation)",
    },
    oracle="transformers TransfoXLModel (4.40)",
)


def resolve(n: int, *, segment: int = 512, memory: int = 512) -> dict[str, int]:
    """No memory longer than the sequence, no segment longer than that and the token that decoding adds."""
    return {"segment": min(segment, n + 1), "memory": min(memory, n)}


def pattern(n: int, *, segment: int = 512, memory: int = 512, same_length: bool = False) -> Expr:
    """The past, back to the start of the memory."""
    sizes = resolve(n, segment=segment, memory=memory)
    if same_length:
        return Band(sizes["memory"])
    i = np.arange(n)
    return Explicit(Slices.of(n, i, i // sizes["segment"] * sizes["segment"] - sizes["memory"], i + 1))


def edges(n: int, *, segment: int = 512, memory: int = 512, same_length: bool = False) -> int:
    """Each query's place in its segment and the memory before that, as far as there is one."""
    sizes = resolve(n, segment=segment, memory=memory)
    size, kept = sizes["segment"], sizes["memory"]
    if same_length:
        return n * (kept + 1) - kept * (kept + 1) // 2
    whole, rest = divmod(n, size)
    lengths = [size] * whole + [rest]
    before = sum(length * min(kept, at * size) for at, length in enumerate(lengths))
    return before + sum(length * (length + 1) // 2 for length in lengths)


def flops_paper(n: int, *, dim: int, segment: int = 512, memory: int = 512) -> int:
    """6 T (M + T) D a segment, as far as n tokens fill it: content, position, values (Dai et al. 2019, section 3.3)."""
    size = min(segment, n)
    return 6 * n * (min(memory, (n - 1) // size * size) + size) * dim


def score_products(n: int, *, segment: int = 512, memory: int = 512, same_length: bool = False) -> int:
    """A position a pair: the keys of one query differ in their lags."""
    return edges(n, segment=segment, memory=memory, same_length=same_length)
