"""Who attends to whom, from each paper's definition: written here pair by pair, with nothing of `attnprof.pattern`.

Query i reads key j. Every scheme that is executed and whose pattern is fixed has its definition here, for every length,
layer, head and causal setting; what executes it shares its pattern with its reference, so that only this could
find it wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from math import ceil, log2, sqrt
from typing import Any, NamedTuple

import numpy as np

from attnprof.units import Value

HEADS = 4
Mask = np.ndarray
Define = Callable[..., Any]


class Through(NamedTuple):
    """What each slot reads `[slots, n]`, which slots a query reads `[n, slots]`, and what it reads beside them."""

    reads: Mask
    writes: Mask
    direct: Mask | None = None


def side_of(n: int) -> int:
    """The side of the smallest square that holds n."""
    return next(side for side in range(1, n + 1) if side * side >= n)


def width_of(n: int) -> int:
    """Columns of a grid of n tokens whose rows are as many as the side of that square."""
    return ceil(n / side_of(n))


def complete(i: Mask, j: Mask, *, causal: bool, **_: Any) -> Mask:
    """Vaswani et al. 2017, section 3.2: all, or all of the past."""
    return j <= i if causal else j >= 0


def window(i: Mask, j: Mask, *, causal: bool, window: int = 512, dilation: int = 1, **_: Any) -> Mask:
    """Beltagy et al. 2020, section 3.1: half a window to each side; causal, `window` tokens with the query itself."""
    lag = i - j
    if causal:
        return (lag >= 0) & (lag % dilation == 0) & (lag // dilation < window)
    return (lag % dilation == 0) & (abs(lag) // dilation <= window // 2)


def dilated_window(i: Mask, j: Mask, *, dilation: int = 2, **rest: Any) -> Mask:
    return window(i, j, dilation=dilation, **rest)


def share(value: int | str, head: int) -> int:
    """Of a list, the entry of a head's share: 4 heads and 2 entries give the first to heads 0 and 1."""
    entries = [int(entry) for entry in str(value).split(",")]
    return entries[head * len(entries) // HEADS]


def longformer(i: Mask, j: Mask, *, causal: bool, head: int, **given: Any) -> Mask:
    """Beltagy et al. 2020, section 3.1: windows, and tokens that read all and are read by all; causal, windows only."""
    size, step = share(given.get("window", 512), head), share(given.get("dilation", 1), head)
    near = window(i, j, causal=causal, window=size, dilation=step)
    hubs = 0 if causal else given.get("global_tokens", 1)
    return near | (i < hubs) | (j < hubs)


def etc(i: Mask, j: Mask, *, n: int, window: int = 168, global_tokens: int = 256, **_: Any) -> Mask:
    """Ainslie et al. 2020, section 3.2: the first tokens are the global input, at most half of all."""
    hubs = min(global_tokens, n // 2)
    return (i < hubs) | (j < hubs) | (abs(i - j) <= window // 2)


def block_local(i: Mask, j: Mask, *, causal: bool, block: int = 256, look_back: int = 0, **_: Any) -> Mask:
    """Qiu et al. 2020, section 3.2, with blocks beside the own one."""
    lag = i // block - j // block
    return (lag >= 0) & (lag <= look_back) & (j <= i) if causal else abs(lag) <= look_back


def image_1d(i: Mask, j: Mask, *, causal: bool, query_block: int = 256, memory_block: int = 256, **_: Any) -> Mask:
    """Parmar et al. 2018, section 4.2: the block of the query and the memory before it, in an encoder behind it too."""
    first = i // query_block * query_block
    return (j >= first - memory_block) & (j <= (i if causal else first + query_block + memory_block - 1))


def image_2d(i: Mask, j: Mask, *, n: int, query_block: int = 8, memory_block: int = 8, **_: Any) -> Mask:
    """Parmar et al. 2018, section 4.2: blocks in raster order, and pixels within them; memory above and beside."""
    side, frame = min(query_block, side_of(n)), min(memory_block, side_of(n))
    across = side_of(ceil(n / side**2))

    def place(t: Mask) -> tuple[Mask, Mask, Mask, Mask]:
        top, left = t // side**2 // across * side, t // side**2 % across * side
        return top, left, top + t % side**2 // side, left + t % side**2 % side

    (top, left), (y, x) = place(i)[:2], place(j)[2:]
    inside = (y >= top - frame) & (y < top + side) & (x >= left - frame) & (x < left + side + frame)
    return inside & (j <= i)


def sparse_strided(
    i: Mask, j: Mask, *, n: int, layer: int, head: int, stride: int | None = None, combine: str = "merge", **_: Any
) -> Mask:
    """Child et al. 2019, section 4.3: A1 the previous l, A2 every l-th; in one head, in turn, or by head."""
    size = min(stride, n) if stride else 2 ** ceil(log2(sqrt(n)))
    near, far = (i - j <= size) & (j <= i), ((i - j) % size == 0) & (j <= i)
    return near | far if combine == "merge" else (near, far)[(layer if combine == "alternate" else head) % 2]


def sparse_fixed(
    i: Mask,
    j: Mask,
    *,
    n: int,
    layer: int,
    head: int,
    stride: int | None = None,
    summary: int = 8,
    combine: str = "merge",
    **_: Any,
) -> Mask:
    """Child et al. 2019, section 4.3: A1 the own block, A2 the last c columns of every block."""
    size = min(stride, n) if stride else 2 ** ceil(log2(sqrt(n)))
    near, far = (i // size == j // size) & (j <= i), (j % size >= size - min(summary, size)) & (j <= i)
    return near | far if combine == "merge" else (near, far)[(layer if combine == "alternate" else head) % 2]


def axial(
    i: Mask, j: Mask, *, n: int, layer: int, stride: int | None = None, combine: str = "alternate", **_: Any
) -> Mask:
    """Ho et al. 2019, section 3: the own row, the own column."""
    width = min(stride or width_of(n), n)
    row, column = i // width == j // width, i % width == j % width
    return row | column if combine == "merge" else (row, column)[layer % 2]


def axial_autoregressive(i: Mask, j: Mask, *, n: int, layer: int, stride: int | None = None, **_: Any) -> Mask:
    """Ho et al. 2019, section 3.2: the row above whole, the column so far, the row so far."""
    width = min(stride or width_of(n), n)
    above = j // width == i // width - 1
    return (above, (i % width == j % width) & (j <= i), (i // width == j // width) & (j <= i))[layer]


def log_sparse(i: Mask, j: Mask, **_: Any) -> Mask:
    """Li et al. 2019: the own place and those 1, 2, 4, ... before it."""
    return (i == j) | np.isin(i - j, [2**t for t in range(20)])


def power(i: Mask, j: Mask, *, n: int, block: int = 1, **_: Any) -> Mask:
    """The same of blocks."""
    return log_sparse(i // block, j // block) & (j <= i)


def sinks(i: Mask, j: Mask, *, window: int = 1020, sinks: int = 4, **_: Any) -> Mask:
    """Xiao et al. 2024, section 3.2: the first tokens, and the last ones."""
    return (j <= i) & ((i - j < window) | (j < sinks))


def star(i: Mask, j: Mask, *, global_tokens: int = 1, **_: Any) -> Mask:
    return (i == j) | (i < global_tokens) | (j < global_tokens)


def swin(i: Mask, j: Mask, *, n: int, layer: int, window: int = 7, shift: int | None = None, **_: Any) -> Mask:
    """Liu et al. 2021, section 3.2: windows of M x M, in odd layers from M / 2 on, cut off at the border of the grid.

    As in the authors' code, a grid that is no wider than M has windows as wide as itself, and they stay.
    """
    width = width_of(n)
    size, moves = min(window, width), layer % 2 == 1 and width > window
    moved = (window // 2 if shift is None else shift) if moves else 0
    row = (i // width - moved) // size == (j // width - moved) // size
    return row & ((i % width - moved) // size == (j % width - moved) // size)


def transformer_xl(
    i: Mask, j: Mask, *, segment: int = 512, memory: int = 512, same_length: bool = False, **_: Any
) -> Mask:
    """Dai et al. 2019, section 3.2: the own segment so far and the memory before it; same_length: M and itself."""
    return (j <= i) & (i - j <= memory if same_length else j >= i // segment * segment - memory)


def compressive(
    i: Mask, j: Mask, *, n: int, segment: int = 512, memory: int = 512, compressed: int = 512, rate: int = 2, **_: Any
) -> Mask | Through:
    """Rae et al. 2020, section 3: what left the memory, `rate` tokens a slot, the last C complete slots."""
    size = min(segment, n)
    near = (j <= i) & (j >= i // size * size - memory)
    count = max((n - 1) // size * size - memory, 0) // rate
    if not compressed or not count:
        return near
    slot, left = np.arange(count), np.maximum(i // size * size - memory, 0)
    writes = ((slot + 1) * rate <= left) & (slot >= left // rate - compressed)
    return Through(j // rate == slot[:, None], writes, near)


def slots_of(i: Mask, j: Mask, *, n: int, causal: bool, factor: int = 3, **_: Any) -> Through:
    """Liu et al. 2018, section 4.2.4: slot t has the tokens from k t to k t + k - 1; causal, read when complete."""
    size = min(factor, n)
    slot = np.arange(ceil(n / size))
    done = slot * size + size - 1 <= i
    return Through(j // size == slot[:, None], done if causal else np.ones_like(done))


def memory_compressed(
    i: Mask, j: Mask, *, layer: int, causal: bool, block: int = 256, stack: str = "LM", **given: Any
) -> Mask | Through:
    """Liu et al. 2018, section 4.2.4: local layers and compressed ones."""
    if stack[layer % len(stack)] == "L":
        return block_local(i, j, causal=causal, block=block)
    return slots_of(i, j, causal=causal, **given)


def linformer(i: Mask, j: Mask, *, n: int, rank: int = 256, **_: Any) -> Through:
    """Wang et al. 2020, equation 7: every slot mixes every key."""
    return Through(np.ones((min(rank, n), n), bool), np.ones((n, min(rank, n)), bool))


def set_transformer(i: Mask, j: Mask, *, n: int, points: int = 32, **_: Any) -> Through:
    """Lee et al. 2019, equation 9: every inducing point reads every token, every token every point."""
    return Through(np.ones((points, n), bool), np.ones((n, points), bool))


def yoco(i: Mask, j: Mask, *, layer: int, total: int = 4, window: int = 1024, **_: Any) -> Mask:
    """Sun et al. 2024, section 2: windows in the first half of the layers, all of the past in the second."""
    return (j <= i) & ((i - j < window) | (layer >= total // 2))


DEFINITIONS: dict[str, tuple[Define, list[dict[str, Value]]]] = {
    "axial": (axial, [{"stride": 8}, {"stride": 200}, {"combine": "merge"}, {"combine": "merge", "stride": 5}]),
    "axial_autoregressive": (axial_autoregressive, [{"stride": 7}, {"stride": 200}]),
    "block_local": (block_local, [{"block": b, "look_back": back} for b in (1, 7, 16) for back in (0, 1, 2)]),
    "compressive": (
        compressive,
        [
            {"segment": t, "memory": m, "compressed": c, "rate": r}
            for t, m, c, r in ((8, 8, 4, 2), (5, 7, 3, 3), (16, 4, 2, 4), (8, 0, 4, 2), (8, 8, 0, 2), (1, 1, 1, 1))
        ],
    ),
    "cosformer": (complete, []),
    "cross": (complete, []),
    "dense": (complete, []),
    "dilated_window": (
        dilated_window,
        [{"window": w, "dilation": d} for w, d in ((1, 3), (8, 3), (9, 1), (16, 5), (2, 40))],
    ),
    "etc": (etc, [{"window": w, "global_tokens": g} for w, g in ((8, 3), (16, 0), (7, 100), (0, 2))]),
    "flash": (complete, []),
    "image_1d": (
        image_1d,
        [{"query_block": q, "memory_block": m} for q, m in ((16, 8), (8, 20), (5, 0), (1, 3), (7, 7))],
    ),
    "image_2d": (
        image_2d,
        [{"query_block": q, "memory_block": m} for q, m in ((4, 2), (3, 5), (2, 0), (1, 1), (2, 4))],
    ),
    "linear": (complete, []),
    "linformer": (linformer, [{"rank": 12}]),
    "log_sparse": (log_sparse, []),
    "longformer": (
        longformer,
        [
            {"window": 16, "global_tokens": 2},
            {"window": 7, "global_tokens": 0},
            {"window": "8,16", "dilation": "1,3"},
            {"window": "4,6,8,10", "dilation": "2,1", "global_tokens": 5},
        ],
    ),
    "memory_compressed": (
        memory_compressed,
        [{"block": 16}, {"block": 5, "factor": 4}, {"stack": "LMLML", "block": 8}],
    ),
    "performer": (complete, []),
    "pooled": (slots_of, [{"factor": 1}, {"factor": 4}, {"factor": 50}]),
    "power": (power, [{"block": 8}, {"block": 3}, {"block": 50}]),
    "set_transformer": (set_transformer, [{"points": 5}]),
    "sinks": (sinks, [{"window": 16, "sinks": 3}, {"window": 1, "sinks": 1}, {"window": 8, "sinks": 0}]),
    "sliding_window": (window, [{"window": w} for w in (1, 2, 16, 17)]),
    "sparse_fixed": (
        sparse_fixed,
        [{"stride": 8, "summary": 2}, {"stride": 7, "summary": 7}, {"combine": "alternate"}, {"combine": "heads"}],
    ),
    "sparse_strided": (
        sparse_strided,
        [{"stride": 7}, {"stride": 1}, {"combine": "alternate"}, {"combine": "heads", "stride": 5}],
    ),
    "star": (star, [{"global_tokens": 4}, {"global_tokens": 0}]),
    "swin": (swin, [{"window": 4}, {"window": 3}, {"window": 2, "shift": 0}, {"window": 4, "shift": 1}]),
    "switch": (complete, []),
    "transformer_xl": (
        transformer_xl,
        [
            {"segment": t, "memory": m, "same_length": s}
            for t, m in ((16, 16), (5, 12), (16, 3), (8, 0))
            for s in (False, True)
        ],
    ),
    "yoco": (yoco, [{"window": 8}, {"window": 5, "total": 6}, {"window": 200, "total": 3}]),
    "yoso": (complete, []),
}
