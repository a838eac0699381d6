"""Blocks: a window, global blocks, and random blocks that differ in every head and layer."""

from functools import lru_cache

import numpy as np

from attnprof.pattern import BlockTable, Card, Expr, Param

CARD = Card(
    title="BigBird",
    bib="zaheer2020bigbird",
    survey_class="fixed pattern + memory",
    complexity="O(n)",
    causality=(False,),
    rule="block J in the window of block I, or I or J global, or J one of the random blocks of I",
    edges_text="block^2 (2 b + 2 (4 + r) + (b - 4) (5 + r)) with b = n / block, for layout=ends and b >= 8",
    paper_n=4096,
    notes=(
        "random blocks are drawn once, for each head and layer, outside the window and the global blocks",
        "global blocks are the first and the last (layout=ends, as released) or the first ones (layout=prefix)",
    ),
    oracle="transformers BigBirdBlockSparseAttention in train mode",
)
PARAMS = {
    "block": Param(64, "64 (Zaheer et al. 2020, appendix E.1)", least=1, by_length=(32, 64, 64, 64)),
    "window_blocks": Param(3, "3, the own block and one to each side (Zaheer et al. 2020, table 8); 0 leaves it out"),
    "random_blocks": Param(3, "3 (Zaheer et al. 2020, table 8)"),
    "global_blocks": Param(2, "2 (Zaheer et al. 2020, table 8: g = 2 x block)"),
    "layout": Param(
        "ends", "ends: the released code makes the first and the last block global", words=("ends", "prefix")
    ),
}
EXAMPLES = (
    {"block": 8},
    {"block": 8, "layout": "prefix"},
    {"block": 16, "global_blocks": 0},
    {"block": 8, "global_blocks": 3, "layout": "prefix"},
)


def pattern(
    n: int,
    *,
    layer: int,
    head: int,
    seed: int,
    block: int,
    window_blocks: int,
    random_blocks: int,
    global_blocks: int,
    layout: str,
) -> Expr:
    """The window, the random blocks and the global ones of every block; the rows of global blocks are full."""
    count = -(-n // block)
    hubs = _global_ids(count, global_blocks, layout)
    near = _window(count, window_blocks)
    taken, top = _taken(count, window_blocks, global_blocks, layout, random_blocks)
    picks = _random_ids(np.random.default_rng([seed, layer, head]), taken, top)
    table = np.concatenate([near.T, picks, np.broadcast_to(hubs[:, None], (len(hubs), count))]).T
    return BlockTable(block, table, full=tuple(hubs.tolist()))


@lru_cache(16)
def _global_ids(count: int, global_blocks: int, layout: str) -> np.ndarray:
    """The global blocks: the first ones, or as many of the first as of the last (the first has the odd one)."""
    wanted = min(global_blocks, count)
    first = wanted if layout == "prefix" else -(-wanted // 2)
    return np.concatenate([np.arange(first), np.arange(count - (wanted - first), count)])


@lru_cache(16)
def _window(count: int, window_blocks: int) -> np.ndarray:
    """The window of every block, `[count, window_blocks]`, -1 beyond the ends."""
    near = np.arange(count)[:, None] + np.arange(window_blocks) - window_blocks // 2
    return np.where((near >= 0) & (near < count), near, -1)


@lru_cache(16)
def _taken(
    count: int, window_blocks: int, global_blocks: int, layout: str, random_blocks: int
) -> tuple[np.ndarray, np.ndarray]:
    """The window and the global blocks of every block, ascending and each once, then `count`: `[slots, count]`.

    Beside them the greatest rank that each random block may have among the others, `[random_blocks, count]`.
    """
    near, hubs = _window(count, window_blocks), _global_ids(count, global_blocks, layout)
    taken = np.sort(np.concatenate([near.T, np.broadcast_to(hubs[:, None], (len(hubs), count))]), axis=0)
    again = np.zeros(taken.shape, dtype=np.bool_)
    again[1:] = taken[1:] == taken[:-1]
    taken = np.sort(np.where(again | (taken < 0), count, taken), axis=0)
    return taken, count - (taken < count).sum(axis=0) - np.arange(random_blocks, 0, -1)[:, None]


def _random_ids(draw: np.random.Generator, taken: np.ndarray, top: np.ndarray) -> np.ndarray:
    """Distinct random blocks of every block outside those that are taken, `[random_blocks, count]`, -1 where too few.

    Floyd's sampling of ranks among the blocks that are left, then past the ones that are taken: O(blocks).
    """
    picks = (draw.random(top.shape) * (top + 1.0)).astype(np.int64)
    for at in range(1, len(top)):
        np.copyto(picks[at], top[at], where=(picks[:at] == picks[at]).any(axis=0))
    picks[top < 0] = -1
    for row in taken:
        picks += picks >= row  # never of -1
    return picks


def edges(n: int, *, block: int, window_blocks: int, random_blocks: int, global_blocks: int, layout: str) -> int | None:
    """Full rows for global blocks; for the others window, globals and as many random blocks as there are to draw.

    None where a short last block may be drawn: the count then depends on the draw.
    """
    count = -(-n // block)
    hubs = set(_global_ids(count, global_blocks, layout).tolist())
    if n % block and random_blocks and count - 1 not in hubs:
        return None
    last = n - (count - 1) * block
    sizes = [block] * (count - 1) + [last]
    half = window_blocks // 2
    total = 0
    for at in range(count):
        if at in hubs:
            total += sizes[at] * n
            continue
        fixed = hubs | {j for j in range(at - half, at - half + window_blocks) if 0 <= j < count}
        random = min(random_blocks, count - len(fixed))
        total += sizes[at] * (sum(sizes[j] for j in fixed) + random * block)
    return total


def flops_paper(n: int, *, dim: int, block: int, window_blocks: int, random_blocks: int, global_blocks: int) -> int:
    """4 n (w + r + g) block D, n keys at most: linear in n (Zaheer et al. 2020, section 2)."""
    return 4 * n * min((window_blocks + random_blocks + global_blocks) * block, n) * dim
