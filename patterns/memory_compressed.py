"""Layers of local blocks and layers of strided convolution over keys and values, in turn."""

from attnprof.pattern import Blocks, Card, Expr, Param, Slots, block_pairs

CARD = Card(
    title="Memory-compressed attention",
    bib="liu2018generating",
    survey_class="fixed pattern + memory",
    complexity="O(n (b + n / k))",
    complexity_ours="O(n b) in local layers, O(n^2 / k) in compressed ones: quadratic still",
    growth=None,
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
    oracle="memory_compressed_attention MemoryCompressedAttention (scale D^-1/2, one grouped convolution, padded left)",
)
PARAMS = {
    "block": Param(256, "256 (Liu et al. 2018, section 4.2.4)", least=1, most="n"),
    "factor": Param(
        3, "3: kernel 3, stride 3 (Liu et al. 2018, section 4.2.4)", least=1, most="n", by_length=(3, 4, 8, 16)
    ),
    "stack": Param(
        "LM",
        "LM: the smallest that repeats; LMLML is the paper's (Liu et al. 2018, section 4.2.4)",
        words=("LM", "LMLML"),
    ),
}
EXAMPLES = ({"block": 16}, {"block": 16, "stack": "LMLML"}, {"block": 16, "factor": 4})


def layers(*, stack: str) -> int:
    """Local, then compressed, and so on."""
    return len(stack)


def pattern(n: int, *, causal: bool, layer: int, block: int, factor: int, stack: str) -> Expr:
    """Blocks in layers L, slots in layers M."""
    if stack[layer % len(stack)] == "L":
        return Blocks(block, causal=causal)
    return Slots.pooled(n, factor, causal)


def edges(n: int, *, causal: bool, layer: int, block: int, stack: str) -> int | None:
    """Pairs within blocks in local layers; None in compressed ones, which have slots."""
    if stack[layer % len(stack)] == "M":
        return None
    return block_pairs(n, block, causal)


def flops_paper(n: int, *, dim: int, block: int, factor: int, stack: str) -> int:
    """4 n b D a layer L and 4 n (n / k) D a layer M (Liu et al. 2018, section 4.2.4)."""
    local, compressed = 4 * n * block * dim, 4 * n * n * dim // factor
    return stack.count("L") * local + stack.count("M") * compressed
