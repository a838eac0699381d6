"""What counting takes: each question in a child of its own, which says how far it grew. Run as a program.

A forked child shares all that is imported; its peak is the operating system's own figure of resident memory, so that
nothing escapes it: NumPy's arrays, torch's tensors, Python's lists.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from attnprof.counting import count
from attnprof.errors import TooLarge
from attnprof.pattern import (
    Band,
    Blocks,
    BlockTable,
    Dense,
    Drawn,
    Explicit,
    Expr,
    FramedBlocks,
    Global,
    GridWindows,
    Halo,
    KeyTable,
    Offsets,
    Segments,
    Strided,
    Summary,
)
from attnprof.shapes import Shape
from attnprof.targets.catalog import OWN_CARD, Entry
from attnprof.targets.scheme import CatalogTarget
from tests.laws.expressions import expressions

N = 65536
UNIONS = 12
SUMS = {"segments", "dense", "key table"}  # of the shared expressions, what the wide ones below have at other sizes


def block_table(n: int, size: int, reads: int, **options: Any) -> Expr:
    """Drawn blocks, some of them twice."""
    blocks = -(-n // size)
    return BlockTable(size, np.random.default_rng(size).integers(0, blocks, (blocks, reads)), **options)


def key_table(n: int, reads: int) -> Expr:
    """Drawn keys."""
    return KeyTable(np.random.default_rng(reads).integers(-1, n, (n, reads)))


WIDE: dict[str, Callable[[int], Expr]] = {
    "dense causal": lambda n: Dense(causal=True),
    "dense with globals": lambda n: Dense(causal=True) | Global(3000),
    "a band of everything": lambda n: Band(n, n),
    "a wide dilated band": lambda n: Band(4000, 4000, 7),
    "every second key": lambda n: Strided(2),
    "every second key, causal": lambda n: Strided(2, causal=True),
    "three strides": lambda n: Strided(7) | Strided(11) | Strided(13),
    "band and every second key": lambda n: Band(128) | Strided(2, causal=True),
    "many lags": lambda n: Offsets(tuple(range(0, 6000, 20))),
    "too many lags": lambda n: Offsets(tuple(range(0, 20000, 20))),
    "summaries of short blocks": lambda n: Summary(8, 5, 8),
    "short blocks and their summaries": lambda n: Blocks(8, causal=True) | Summary(8, 6, 8, causal=True),
    "long summaries": lambda n: Summary(256, 56, 256, causal=True),
    "short blocks, long look-back": lambda n: Blocks(8, 4000, causal=True),
    "long blocks": lambda n: Blocks(40000, causal=True),
    "single tokens with a long halo": lambda n: Halo(1, 30000),
    "a long halo": lambda n: Halo(30000, 10001, 0, causal=True),
    "large framed blocks": lambda n: FramedBlocks(2, 128, 64),
    "small framed blocks, wide frame": lambda n: FramedBlocks(128, 2, 32),
    "thousands of globals": lambda n: Band(100, 100) | Global(5000),
    "thousands of globals, causal": lambda n: Global(5000, causal=True),
    "all tokens global": lambda n: Global(n, causal=True),
    "a table of single tokens": lambda n: block_table(n, 1, 5),
    "a table of large blocks": lambda n: block_table(n, 4096, 4, causal=True),
    "a table with full rows": lambda n: block_table(n, 4, 8, full=(0, 1, 2), causal=True),
    "a table of keys": lambda n: key_table(n, 16),
    "band and a table of keys": lambda n: Band(2, 2) | key_table(n, 8),
    "large windows": lambda n: GridWindows(256, 200, 100),
    "long segments": lambda n: Segments((0, 100, 40000), causal=True),
    "given edges, half of all": lambda n: Explicit(Dense(causal=True).slices(n)),
    "drawn edges": lambda n: Drawn(lambda: Band(300).slices(n)),
    "past of a union": lambda n: (Band(3, 3) | Strided(6)).past(),
}


def random_union(seed: int, n: int) -> Expr:
    """Two or three primitives of random kind and size, some of them of the past."""
    draw = np.random.default_rng(seed)
    size, small = int(2 ** draw.uniform(0, 12)), int(2 ** draw.uniform(0, 6))
    kinds: list[Callable[[], Expr]] = [
        lambda: Band(size, int(draw.integers(0, size + 1)), small),
        lambda: Strided(small + 1, causal=bool(draw.integers(2))),
        lambda: Blocks(size, int(draw.integers(0, 3)), 0, causal=bool(draw.integers(2))),
        lambda: Halo(size, small),
        lambda: Global(small * 8, rows=bool(draw.integers(2))),
        lambda: Summary(size + 8, 0, min(small, 8), causal=bool(draw.integers(2))),
        lambda: Offsets(tuple(draw.integers(-n, n, small).tolist())),
        lambda: block_table(n, max(size, 16), 3),
        lambda: key_table(n, min(small, 8)),
        lambda: GridWindows(256, max(small, 2)),
        lambda: Segments(tuple(np.unique(draw.integers(0, n, small)).tolist())),
        lambda: Dense(causal=True),
    ]
    parts = [kinds[at]() for at in draw.choice(len(kinds), int(draw.integers(2, 4)), replace=False)]
    union = parts[0]
    for part in parts[1:]:
        union = union | part
    return union.past() if draw.integers(4) == 0 else union


def target(draw: Callable[[int], Expr], impl: str = "gather", **options: Any) -> CatalogTarget:
    """A pattern file that returns such an expression."""
    return CatalogTarget.of(Entry("mine", Path("mine.py"), OWN_CARD, draw, **options), {}, impl)


def trained(draw: Callable[[int], Expr], impl: str = "gather") -> Callable[[], Any]:
    """The count of one training pass, with the forward in it."""
    return lambda: count(target(draw, impl), Shape(n=N, dim=64, heads=2), "train").cost.flops_executed  # type: ignore[arg-type]


def derived(draw: Callable[[int], Expr]) -> Callable[[], Any]:
    """The closed forms of a pattern."""

    def forms() -> Any:
        from attnprof.closed_forms.derive import closed_forms

        found = closed_forms(target(draw), Shape(n=1024, dim=64, heads=2))
        return {name: form.text for name, form in found.forms.items()} or found.missing

    return forms


def limited(draw: Callable[[int], Expr]) -> Callable[[], Any]:
    """The longest sequence in 80 GB."""

    def limit() -> Any:
        from attnprof.plan.limiting import longest

        return longest(target(draw), Shape(n=1024, dim=64, heads=2), "train", 80 * 10**9).n  # type: ignore[arg-type]

    return limit


def six_layers() -> Any:
    """Five windows and a full layer."""

    def draw(n: int, *, layer: int = 0) -> Expr:
        return Dense(causal=True) if layer % 6 == 5 else Band(1023)

    layered = target(draw, layers=lambda: 6)
    return count(layered, Shape(n=N, dim=64, heads=2, causal=True), "train").cost.flops_core_useful  # type: ignore[arg-type]


SIX = ("dense causal", "every second key, causal", "three strides", "given edges, half of all", "a table of keys")


def questions() -> dict[str, Callable[[], Any]]:
    """Everything that is asked, by a name."""
    shared = {name: (lambda n, name=name: expressions(n)[name]) for name in expressions(64) if name not in SUMS}
    unions = {f"union {drawn}": (lambda n, drawn=drawn: random_union(drawn, n)) for drawn in range(UNIONS)}
    asked = {f"train: {name}": trained(draw) for name, draw in {**shared, **WIDE, **unions}.items()}
    asked |= {f"masked: {name}": trained(WIDE[name], "masked") for name in SIX}
    asked |= {f"flex: {name}": trained(WIDE[name], "flex") for name in ("dense causal", "three strides")}
    asked |= {f"forms: {name}": derived(WIDE[name]) for name in SIX}
    asked |= {f"limit: {name}": limited(WIDE[name]) for name in SIX[:3]}
    return {**asked, "train: six layers": six_layers}


def answer(ask: Callable[[], Any]) -> dict[str, Any]:
    """What one question gives in a child, how many bytes it grew by, and how long it took."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        before, began = resident_bytes(), time.perf_counter()
        try:
            found: dict[str, Any] = {"value": str(ask())}
        except TooLarge as error:
            found = {"refused": error.message}
        except BaseException as error:
            found = {"failed": f"{type(error).__name__}: {error}"}
        found["grew"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before
        found["seconds"] = time.perf_counter() - began
        os.write(writing, json.dumps(found).encode()[:60000])
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        text = pipe.read()
    os.waitpid(child, 0)
    return json.loads(text) if text else {"failed": "the child died", "grew": 0, "seconds": 0.0}


def resident_bytes() -> int:
    """Memory that this process holds now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


if __name__ == "__main__":
    count(target(lambda n: Band(3)), Shape(n=64, dim=64, heads=2), "forward")  # type: ignore[arg-type]
    asked = questions()
    for name in sys.argv[1:] or asked:
        print(json.dumps({"name": name, **answer(asked[name])}), flush=True)
