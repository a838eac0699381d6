"""Layers of local blocks and layers of strided convolution over keys and values, in turn."""

import numpy as np

from attnprof.pattern import Blocks, Card, Expr, Slices, Slots

CARD = Card(
    title="Memory-compressed attention",
    bib="liu2018generating",
    survey_class="fixed pattern + memory",
    complexity="O(n (b + n / k))",
    complexity_ours="O(n b) in local layers, O(n^2 / k) in compressed ones: quadratic still",
    causality=(True, False),
    maths="own",
    rule="even layers: floor(i / b) = floor(j / b); odd layers: slots of k tokens, causal: those with k t + k - 1 <= i",
    edges_text="local layer: n b, causal n (b + 1) / 2; compressed layer: n to slots, n ceil(n / k) back",
    paper_n=11000,
    dead_queries="causal, compressed layers: the first factor - 1 queries, for whom no slot is complete",
    notes=(
        "a point costs both layer kinds; the paper stacks L M L M L",
        "causal, a learned null slot serves the first queries, and an unfinished slot is seen by nobody",
        "keys and values have a convolution each, over all of the width",
    ),
    sources={
        "block": "256 (Liu et al. 2018, section 4.2.4)",
        "factor": "3: kernel 3, stride 3 (Liu et al. 2018, section 4.2.4)",
    },
    oracle="memory_compressed_attention MemoryCompressedAttention (scale D^-1/2, one grouped convolution, padded left)",
)


def layers() -> int:
    """Local, then compressed."""
    return 2


def resolve(n: int, *, block: int = 256, factor: int = 3) -> dict[str, int]:
    """No block or slot of more than all tokens."""
    return {"block": min(block, n), "factor": min(factor, n)}


def pattern(n: int, *, causal: bool = False, layer: int = 0, block: int = 256, factor: int = 3) -> Expr:
    """Blocks in even layers, slots in odd ones."""
    if layer % 2 == 0:
        return Blocks(min(block, n), causal=causal)
    size = min(factor, n)
    count, i = -(-n // size), np.arange(n)
    slot = np.arange(count)
    reads = Slices.of(count, slot, slot * size, slot * size + size, 1, n)
    return Slots(count, reads, Slices.of(n, i, 0, (i + 1) // size if causal else count, 1, count))


def edges(n: int, *, causal: bool = False, layer: int = 0, block: int = 256) -> int | None:
    """Pairs within blocks in local layers; None in compressed ones, which have slots."""
    if layer % 2:
        return None
    sizes = [block] * (n // block) + [n % block]
    return sum(size * (size + 1) // 2 if causal else size**2 for size in sizes)


def flops_paper(n: int, *, dim: int, block: int = 256, factor: int = 3) -> int:
    """4 n b D and 4 n (n / k) D, one layer of each (Liu et al. 2018, section 4.2.4)."""
    return 4 * n * min(block, n) * dim + 4 * n * n * dim // factor
