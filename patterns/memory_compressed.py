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
    rule="layers L: floor(i / b) = floor(j / b); layers M: slots of k tokens, causal: those with k t + k - 1 <= i",
    edges_text="local layer: n b, causal n (b + 1) / 2; compressed layer: n to slots, n ceil(n / k) back",
    paper_n=11000,
    dead_queries="causal, compressed layers: the first factor - 1 queries, for whom no slot is complete",
    notes=(
        "a point costs one layer of each kind, L and M; stack=LMLML costs the five of the paper's decoder",
        "causal, a learned null slot serves the first queries, and an unfinished slot is seen by nobody",
        "keys and values have a convolution each, over all of the width",
    ),
    choices={"stack": ("LM", "LMLML")},
    sources={
        "stack": "LM: the smallest that repeats; LMLML is the paper's (Liu et al. 2018, section 4.2.4)",
        "block": "256 (Liu et al. 2018, section 4.2.4)",
        "factor": "3: kernel 3, stride 3 (Liu et al. 2018, section 4.2.4)",
    },
    oracle="memory_compressed_attention MemoryCompressedAttention (scale D^-1/2, one grouped convolution, padded left)",
)


def layers(*, stack: str = "LM") -> int:
    """Local, then compressed, and so on."""
    return len(stack)


def resolve(n: int, *, block: int = 256, factor: int = 3) -> dict[str, int]:
    """No block or slot of more than all tokens."""
    return {"block": min(block, n), "factor": min(factor, n)}


def pattern(
    n: int, *, causal: bool = False, layer: int = 0, block: int = 256, factor: int = 3, stack: str = "LM"
) -> Expr:
    """Blocks in layers L, slots in layers M."""
    if stack[layer % len(stack)] == "L":
        return Blocks(min(block, n), causal=causal)
    size = min(factor, n)
    count, i = -(-n // size), np.arange(n)
    slot = np.arange(count)
    reads = Slices.of(count, slot, slot * size, slot * size + size, 1, n)
    return Slots(count, reads, Slices.of(n, i, 0, (i + 1) // size if causal else count, 1, count))


def edges(n: int, *, causal: bool = False, layer: int = 0, block: int = 256, stack: str = "LM") -> int | None:
    """Pairs within blocks in local layers; None in compressed ones, which have slots."""
    if stack[layer % len(stack)] == "M":
        return None
    sizes = [block] * (n // block) + [n % block]
    return sum(size * (size + 1) // 2 if causal else size**2 for size in sizes)


def flops_paper(n: int, *, dim: int, block: int = 256, factor: int = 3, stack: str = "LM") -> int:
    """4 n b D a layer L and 4 n (n / k) D a layer M (Liu et al. 2018, section 4.2.4)."""
    local, compressed = 4 * n * min(block, n) * dim, 4 * n * n * dim // factor
    return stack.count("L") * local + stack.count("M") * compressed
