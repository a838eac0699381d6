"""Three branches a query mixes by gates: compressed blocks of all the past, a few blocks in full, and a window."""

import numpy as np

from attnprof.pattern import Band, Card, Drawn, Expr, Param, Slices, Slots

CARD = Card(
    title="Native sparse attention",
    bib="yuan2025nsa",
    survey_class="selected blocks",
    complexity_ours="O(n (w + k l') + n^2 / d): the compressed branch is quadratic",
    growth=None,
    causality=(True,),
    data_dependent=True,
    maths="own",
    rule="compressed blocks that end by i; the `selected` blocks with the most weight, j <= i; 0 <= i - j < window",
    edges_text="(i + 1 - compress) / stride + 1 slots, selected * block + window tokens a query at most",
    paper_n=8192,
    notes=(
        "compressed keys grow as n / stride for every query: 511 of about 2,000 keys at 8k, 4,095 of 5,600 at 64k",
        "the first block and the last two always count among the selected",
        "the choice is one for all query heads of a KV head: one such group is drawn, and stands for the layer",
        "three softmaxes with keys and values of their own, so tokens of the window are often read twice",
        "a query before the first complete compressed block has no compressed key",
        "compressed scores are computed twice, as kernels do: fused for the branch, and to weigh the blocks, which is "
        "booked as selection: 2 D slots of each query, quadratic as the branch itself",
        "the map that compresses is taken as two layers of width d with a position a token; the paper leaves it open",
        "here q, k ~ N(0, I) of width 64, and a compressed key is its block's mean: the choice is nearly uniform",
    ),
    oracle="fla.ops.nsa.naive",
)
PARAMS = {
    "window": Param(
        512, "512 (Yuan et al. 2025, section 4.1); with the token itself, which 0 and 1 leave alone", most="n"
    ),
    "block": Param(64, "64 tokens a selected block (Yuan et al. 2025, section 4.1)", least=1),
    "selected": Param(16, "16 blocks (Yuan et al. 2025, section 4.1)"),
    "compress": Param(32, "32 tokens a compressed block (Yuan et al. 2025, section 4.1)", least=1),
    "stride": Param(
        16, "16 between compressed blocks; divides compress and block (Yuan et al. 2025, section 4.1)", least=1
    ),
    "group": Param(16, "16 query heads a KV head (Yuan et al. 2025, section 4.1: 64 heads, 4 groups)"),
}
EXAMPLES = ({"window": 16, "block": 8, "selected": 4, "compress": 8, "stride": 4}, {}, {"selected": 1})
WIDTH = 64
ROWS = 512


def pattern(
    n: int, *, layer: int, seed: int, window: int, block: int, selected: int, compress: int, stride: int, group: int
) -> Expr:
    """Compressed blocks as slots; selected blocks and window as edges beside them."""
    count, i = max((n - compress) // stride + 1, 0), np.arange(n)
    slot = np.arange(count)
    reads = Slices.of(count, slot, slot * stride, slot * stride + compress, 1, n)
    writes = Slices.of(n, i, 0, (i + 1 - compress) // stride + 1, 1, max(count, 1))
    blocks = Drawn(lambda: _sample(n, [seed, layer], block, selected, compress, stride, group))
    return Slots(count, reads, writes, blocks | Band(max(window, 1) - 1))


def _sample(n: int, seed: list[int], block: int, selected: int, compress: int, stride: int, group: int) -> Slices:
    """The selected blocks of random queries and keys."""
    count, i = max((n - compress) // stride + 1, 0), np.arange(n)
    slot = np.arange(count)
    draw = np.random.default_rng(seed)
    k = draw.standard_normal((n, WIDTH), dtype=np.float32)
    window_of = slot[:, None] * stride + np.arange(compress)
    means = k[window_of].mean(axis=1) if count else np.zeros((0, WIDTH), dtype=np.float32)
    chosen = [
        _choose(_importance(draw, rows, means, compress, stride, group, block), rows, block, selected)
        for rows in np.array_split(i, -(-n // ROWS))
    ]
    start = np.concatenate(chosen)
    return Slices.of(n, i[:, None], start, np.minimum(start + block, i[:, None] + 1)).disjoint()


def _importance(
    draw: np.random.Generator, rows: np.ndarray, means: np.ndarray, compress: int, stride: int, group: int, block: int
) -> np.ndarray:
    """Weight of each selection block `[rows, blocks]`: compressed softmax, summed over overlaps and a group's heads."""
    count, ends = len(means), np.arange(len(means)) * stride + compress - 1
    weight = np.zeros((len(rows), count), dtype=np.float32)
    for _ in range(group):
        q = draw.standard_normal((len(rows), WIDTH), dtype=np.float32) / np.float32(np.sqrt(WIDTH))
        scores = np.where(ends <= rows[:, None], np.exp(q @ means.T), 0)
        weight += scores / np.maximum(scores.sum(axis=1, keepdims=True), 1e-30)
    per_block, total = block // stride, count + compress // stride - 1
    pieces = np.zeros((len(rows), -(-max(total, 1) // per_block) * per_block), dtype=np.float32)
    for shift in range(compress // stride):
        pieces[:, shift : shift + count] += weight
    return pieces.reshape(len(rows), -1, per_block).sum(axis=2)


def _choose(weight: np.ndarray, rows: np.ndarray, block: int, selected: int) -> np.ndarray:
    """First keys of the chosen blocks `[rows, selected]`: the first, the last two, then the heaviest of the past."""
    own, last = rows // block, int(rows[-1]) // block
    padded = np.full((len(rows), last + 1), 0, dtype=np.float32)
    padded[:, : weight.shape[1]] = weight[:, : last + 1]
    at = np.arange(last + 1)
    forced = (at == 0) | (at == own[:, None]) | (at == own[:, None] - 1)
    padded = np.where(at > own[:, None], -np.inf, np.where(forced, np.inf, padded))
    wanted = min(selected, last + 1)
    best = np.argpartition(-padded, wanted - 1, axis=1)[:, :wanted]
    start = np.where(np.take_along_axis(padded, best, axis=1) == -np.inf, int(rows[-1]) + 1, best * block)
    return np.pad(start, ((0, 0), (0, selected - wanted)), constant_values=np.iinfo(np.int32).max)


def flops_paper(n: int, *, dim: int, window: int, block: int, selected: int, compress: int, stride: int) -> int:
    """4 D times the keys of all queries, window and blocks taken as full, n keys of each at most.

    Yuan et al. 2025, section 5.2, table 4.
    """
    count = max((n - compress) // stride + 1, 0)
    compressed = count * n - stride * count * (count - 1) // 2 - count * (compress - 1)
    return 4 * dim * (compressed + n * (min(selected * block, n) + min(max(window, 1), n)))
