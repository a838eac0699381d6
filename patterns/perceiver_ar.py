"""The last positions are the latents: they read all the past once, then only one another."""

import numpy as np

from attnprof.pattern import Card, Explicit, Expr, Global, Param, Slices, all_pairs

CARD = Card(
    title="Perceiver AR",
    bib="hawthorne2022perceiverar",
    survey_class="memory + downsampling",
    complexity_ours="O(n z + z^2), z latents",
    causality=(True,),
    maths="own",
    rule="i >= n - latents; layer 0: j <= i; layers above: n - latents <= j <= i",
    edges_text="z n - z (z - 1) / 2 in layer 0, z (z + 1) / 2 above, z = min(latents, n)",
    paper_n=8192,
    dead_queries="all but the last `latents` positions: they are keys only, and have no output",
    notes=(
        "layer kind 0 is the cross-attention, kind 1 the stack of layers among latents, which the paper repeats",
        "decoding with more layers above than one keeps keys that were made from tokens which are no latents any more",
        "only the latents predict, so a training step learns from min(latents, n) positions",
    ),
)
PARAMS = {
    "latents": Param(1024, "1024 (Hawthorne et al. 2022)", least=1, most="n"),
}
EXAMPLES = ({}, {"latents": 16})


def layers() -> int:
    """The cross-attention, and a layer among latents."""
    return 2


def pattern(n: int, *, layer: int, latents: int) -> Expr:
    """Full rows of the past for the last positions; above, a triangle among them."""
    first = n - latents
    if layer % 2 == 0:
        return Global(n, first, columns=False, causal=True)
    i = np.arange(first, n)
    return Explicit(Slices.of(n, i, first, i + 1))


def edges(n: int, *, layer: int, latents: int) -> int:
    """Rows of the whole past, or the triangle."""
    among = all_pairs(latents, causal=True)
    return (n - latents) * latents + among if layer % 2 == 0 else among


def flops_paper(n: int, *, dim: int, latents: int) -> int:
    """4 n z D for the cross-attention and 4 z^2 D for a layer above (Hawthorne et al. 2022)."""
    return 4 * n * latents * dim + 4 * latents**2 * dim
