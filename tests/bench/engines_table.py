"""Which engine the ladder takes for a pattern, and what every other exact one would cost it.

`python -m tests.bench.engines_table [ragged]`
`catalogue` (default): every scheme in its native causality at n = 8192; `ragged`: documents, windows of uneven widths
and their like at 16k to 64k, the masks that no formula answers. Times are seconds of one run; a dash is a mask that an
engine does not understand, `skipped` one of more slices or edges than are tried.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator

import numpy as np

from attnprof.errors import AttnprofError
from attnprof.graph.ladder import ENGINES, solve
from attnprof.graph.layered import LayeredRelation
from attnprof.graph.reach import ReachRequest
from attnprof.pattern import Band, Explicit, Expr, Global, Kernel, Pattern, Segments, Slices
from attnprof.shapes import Shape
from attnprof.targets import catalog, door
from attnprof.words import Certainty, EngineName

N, HEADS = 8192, 2
MOST_EDGES, MOST_SLICES = 5_000_000, 2_000_000
EXACT = [name for name in dict.fromkeys(engine.name for engine in ENGINES) if name is not EngineName.SAMPLED]


def of_catalogue() -> Iterator[tuple[str, LayeredRelation]]:
    for name in catalog.names():
        target = door.find(name)
        shape = Shape(N, causal=target.card.native_causal, heads=HEADS, dim=64 * HEADS)
        pattern = target.graph(shape)  # type: ignore[attr-defined]
        if not isinstance(pattern.expr(), Kernel):
            yield name, LayeredRelation.of(pattern)


def ragged(n: int) -> Iterator[tuple[str, LayeredRelation]]:
    rng = np.random.default_rng(0)
    documents = tuple(sorted({0, *rng.integers(0, n, n // 512).tolist()}))
    i, width = np.arange(n), rng.integers(16, 512, n)
    smooth = np.maximum.accumulate(np.maximum(i - width, 0))
    row, key = np.repeat(i, 4), np.tile(rng.choice(n, 4, replace=False), n)
    masks: dict[str, Expr] = {
        "documents, causal": Segments(documents, causal=True),
        "documents, two-sided": Segments(documents),
        "documents + sinks": Segments(documents, causal=True) | Global(4, rows=False, causal=True),
        "documents + window": Segments(documents, causal=True) | Band(256),
        "windows of uneven widths": Explicit(Slices.of(n, i, i - width, i + 1)),
        "windows that never shrink back": Explicit(Slices.of(n, i, smooth, i + 1)),
        "two-sided window, 4 columns": Band(256, 256) | Explicit(Slices.of(n, row, key, key + 1)),
        "lopsided causal prefix": Explicit(Slices.of(n, i, 0, np.maximum(i + 1, n // 3))),
    }
    for name, expr in masks.items():
        yield f"{name}, n={n}", LayeredRelation.of(Pattern(name, n, False, lambda layer, head, expr=expr: expr))


def timed(stack: LayeredRelation, name: EngineName) -> str:
    if name is EngineName.CSR and max(sum(part.edges for part in parts) for parts in stack.relations) > MOST_EDGES:
        return "skipped"
    if max(sum(len(part.row) for part in parts) for parts in stack.relations) > MOST_SLICES:
        return "skipped"
    began = time.perf_counter()
    try:
        found = solve(stack, ReachRequest(), name)
    except AttnprofError:
        return "-"
    assert found.certainty == Certainty.EXACT
    return f"{time.perf_counter() - began:.3f}"


def main() -> None:
    stacks = of_catalogue() if "ragged" not in sys.argv else (each for k in (16, 32, 64) for each in ragged(1024 * k))
    print("pattern", "chosen", "layers", *EXACT, sep="\t")
    for name, stack in stacks:
        found = solve(stack)
        print(
            name, found.engine, len(found.histogram) - 1, *(timed(stack, each) for each in EXACT), sep="\t", flush=True
        )


if __name__ == "__main__":
    main()
