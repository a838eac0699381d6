"""Facts of published patterns, from closed forms and from the literature, asserted on the engines' answers."""

from __future__ import annotations

from math import ceil, isqrt

import numpy as np
import pytest

from attnprof.graph.ladder import solve
from attnprof.graph.layered import LayeredRelation
from attnprof.graph.reach import Reach, ReachRequest
from attnprof.pattern import (
    Band,
    Blocks,
    BlockTable,
    Dense,
    Expr,
    Global,
    GridWindows,
    Offsets,
    Pattern,
    Strided,
    Summary,
)
from attnprof.shapes import Shape
from attnprof.targets import door


def reach(n: int, *kinds: Expr, engine: str = "auto", causal: bool = False) -> Reach:
    pattern = Pattern("given", n, causal, lambda layer, head: kinds[layer], layers=len(kinds))
    return solve(LayeredRelation.of(pattern), ReachRequest(), engine)


def edges(expr: Expr, n: int) -> int:
    return expr.slices(n).edges


def axial(side: int) -> Expr:
    return Blocks(side) | Strided(side)


def bigbird(count: int, globals_: int = 2, random: int = 3, seed: int = 0) -> Expr:
    """Blocks of 64: a window of three, prefix globals, and distinct random blocks outside both."""
    rng = np.random.default_rng(seed)
    rows = []
    for at in range(count):
        near = [j for j in (at - 1, at, at + 1) if 0 <= j < count]
        taken = {*near, *range(globals_)}
        picks = rng.choice([j for j in range(count) if j not in taken], random, replace=False)
        rows.append(np.pad([*near, *picks], (0, 3 - len(near)), constant_values=-1))
    table = BlockTable(64, np.stack(rows))
    return table | Global(64 * globals_) if globals_ else table


LENGTHS = (100, 513, 1024, 4096)


@pytest.mark.parametrize("n", LENGTHS)
def test_dense_reaches_all_in_one_layer_with_mean_hop_one(n: int) -> None:
    found = reach(n, Dense())
    assert (found.layers_to_full, found.mean_hops, edges(Dense(), n)) == (1, 1.0, n * n)
    assert edges(Dense(True), n) == n * (n + 1) // 2
    assert reach(n, Dense(True)).layers_to_full == 1


@pytest.mark.parametrize("n", LENGTHS)
@pytest.mark.parametrize("h", [3, 16, 64])
def test_a_window_adds_its_extent_with_every_layer(n: int, h: int) -> None:
    found = reach(n, Band(h, h))
    assert edges(Band(h, h), n) == n * (2 * h + 1) - h * (h + 1)
    assert found.layers_to_full == ceil((n - 1) / h)
    for entry in found.layers:
        reachable = min(entry.layer * h, n - 1)
        total = n * (2 * reachable + 1) - reachable * (reachable + 1)
        assert entry.mean == pytest.approx(total / n)
        assert entry.min == reachable + 1
        assert entry.max == min(2 * reachable + 1, n)


@pytest.mark.parametrize("n", LENGTHS)
@pytest.mark.parametrize("w", [2, 17, 64])
def test_a_causal_window_sees_layers_times_all_but_itself(n: int, w: int) -> None:
    found = reach(n, Band(w - 1))
    assert edges(Band(w - 1), n) == n * w - w * (w - 1) // 2
    assert found.layers_to_full == ceil((n - 1) / (w - 1))
    assert all(entry.max == min(n - 1, entry.layer * (w - 1)) + 1 for entry in found.layers)


@pytest.mark.parametrize(("n", "w", "s"), [(100, 9, 4), (512, 64, 4), (1024, 33, 1)])
@pytest.mark.parametrize("engine", ["closed", "slices", "intervals"])
def test_sinks_shorten_no_path_but_their_own(n: int, w: int, s: int, engine: str) -> None:
    expr = Band(w - 1) | Global(s, causal=True)
    assert edges(expr, n) == n * w - w * (w - 1) // 2 + s * (n - w) - s * (s - 1) // 2
    found = reach(n, expr, engine=engine)
    assert found.layers_to_full == ceil((n - 1 - s) / (w - 1))
    assert found.farthest_out[s] == 1
    assert found.farthest_out.tolist() == [0, *[max(1, ceil((i - s) / (w - 1))) for i in range(1, n)]]


@pytest.mark.parametrize(("h", "d", "n"), [(4, 2, 100), (3, 5, 128), (16, 2, 1024)])
def test_dilation_splits_the_tokens_into_its_residues(h: int, d: int, n: int) -> None:
    from attnprof.graph.metrics.components import weak_components
    from attnprof.graph.subject import Subject

    expr = Band(h, h, d)
    assert edges(expr, n) == n * (2 * h + 1) - d * h * (h + 1)
    subject = Subject(Pattern("dilated", n, False, lambda layer, head: expr))
    assert subject.reach.layers_to_full is None
    assert weak_components(subject) == d


@pytest.mark.parametrize(("n", "h", "g"), [(256, 16, 1), (1024, 32, 4), (4096, 256, 4), (65536, 256, 4)])
def test_longformer_has_diameter_two_and_mean_hops_two_minus_density(n: int, h: int, g: int) -> None:
    expr = Band(h, h) | Global(g)
    count = n * (2 * h + 1) - h * (h + 1) + 2 * g * n - g**2 - 2 * g * (h + 1) + g
    found = reach(n, expr)
    assert edges(expr, n) == count
    assert found.layers_to_full == 2
    assert found.mean_hops == pytest.approx(2 - (count - n) / (n * (n - 1)), abs=1e-12)
    assert found.histogram.tolist() == [n, count - n, n * n - count]


def test_longformer_at_64k_has_the_published_number_of_edges() -> None:
    assert edges(Band(256, 256) | Global(4), 65536) == 34_076_396


@pytest.mark.parametrize(("count", "g", "r"), [(64, 2, 3), (1024, 2, 3), (64, 0, 3), (128, 1, 2)])
def test_bigbird_edges_by_blocks(count: int, g: int, r: int) -> None:
    blocks = g * count + (count - g) * (g + 3 + r) - (1 if g else 0) - 1 if g else count * (3 + r) - 2
    expr = bigbird(count, g, r)
    assert edges(expr, 64 * count) == 64**2 * blocks
    if (count, g, r) == (1024, 2, 3):
        assert 64**2 * blocks == 41_869_312
    if g:
        assert reach(64 * count, expr).layers_to_full == 2


@pytest.mark.parametrize(("n", "l"), [(64, 8), (1000, 17), (1024, 32), (65536, 256)])
def test_strided_is_full_in_two_in_either_order(n: int, l: int) -> None:  # noqa: E741
    near, far = Band(l), Strided(l, True)
    quotient, rest = divmod(n, l)
    far_edges = l * quotient * (quotient - 1) // 2 + quotient * rest
    assert edges(near | far, n) == (l + 1) * n - l * (l + 1) // 2 + far_edges - (n - l)
    assert reach(n, near | far).layers_to_full == 2
    assert reach(n, near, far).layers_to_full == 2
    assert reach(n, far, near).layers_to_full == 2


def test_strided_at_64k_has_the_published_number_of_edges() -> None:
    assert edges(Band(256) | Strided(256, True), 65536) == 25_100_416


@pytest.mark.parametrize(("l", "c", "b"), [(8, 2, 8), (16, 4, 16), (32, 4, 8)])
def test_fixed_needs_its_summaries_on_top(l: int, c: int, b: int) -> None:  # noqa: E741
    n = l * b
    own, summary = Blocks(l, causal=True), Summary(l, l - c, l, True)
    assert edges(own | summary, n) == b * l * (l + 1) // 2 + c * l * b * (b - 1) // 2
    assert reach(n, own | summary).layers_to_full == 2
    assert reach(n, own, summary).layers_to_full == 2
    assert reach(n, summary, own).layers_to_full == 3


@pytest.mark.parametrize("side", [8, 16, 32])
def test_axial_meets_at_the_crossing(side: int) -> None:
    n = side * side
    found = reach(n, axial(side))
    assert edges(axial(side), n) == n * (2 * side - 1)
    assert found.layers_to_full == 2
    assert found.mean_hops == pytest.approx(2 - (2 * side - 2) / (n - 1))
    assert reach(n, Blocks(side), Strided(side)).layers_to_full == 2


@pytest.mark.parametrize(("n", "block"), [(256, 16), (1024, 64)])
def test_blocks_without_a_shift_never_meet(n: int, block: int) -> None:
    found = reach(n, Blocks(block))
    assert edges(Blocks(block), n) == n * block
    assert edges(Blocks(block, causal=True), n) == n * (block + 1) // 2
    assert found.layers_to_full is None
    assert {entry.share for entry in found.layers} == {block / n}


@pytest.mark.parametrize(("q", "m", "expected"), [(8, 8, 64 // 8 - 1), (8, 4, 8), (8, 16, 4)])
def test_image_transformer_in_one_dimension(q: int, m: int, expected: int) -> None:
    from attnprof.pattern import Halo

    n = 64
    expr = Halo(q, before=m, causal=True)
    assert edges(expr, n) == sum(q * (q + 1) // 2 + q * min(m, b * q) for b in range(n // q))
    assert reach(n, expr).layers_to_full == expected


@pytest.mark.parametrize(("side", "window"), [(8, 4), (14, 7), (16, 4), (28, 7), (28, 4), (16, 2)])
def test_swin_covers_its_grid_in_two_windows_a_layer_but_one(side: int, window: int) -> None:
    n, shift = side * side, window // 2
    plain, shifted = GridWindows(side, window), GridWindows(side, window, shift)
    assert edges(plain, n) == n * window**2
    pieces = (side // window - 1) * window**2 + shift**2 + (window - shift) ** 2
    assert edges(shifted, n) == pieces**2
    found = reach(n, plain, shifted)
    if side // window in (2, 4, 7, 8):
        assert found.layers_to_full == 2 * side // window - 1
    for entry in found.layers:
        assert entry.max == min(side, entry.layer * window) ** 2
        assert entry.min == min(side, window * ceil(entry.layer / 2)) ** 2 or side % 2


@pytest.mark.parametrize("n", [64, 128, 1024])
def test_powers_of_two_take_as_many_hops_as_the_lag_has_bits(n: int) -> None:
    lags = (0, *[1 << k for k in range(n.bit_length() - 1)])
    found = reach(n, Offsets(lags), engine="toeplitz")
    assert edges(Offsets(lags), n) == n + sum(n - lag for lag in lags[1:])
    assert found.layers_to_full == n.bit_length() - 1
    counts = np.bincount([int(lag).bit_count() for lag in range(n)], weights=n - np.arange(n)).astype(int)
    assert found.histogram.tolist() == counts.tolist()


@pytest.mark.parametrize("n", [64, 1000])
def test_a_star_is_universal_with_the_fewest_edges(n: int) -> None:
    star = Global(1) | Band(0)
    assert edges(star, n) == 3 * n - 2
    assert reach(n, star).layers_to_full == 2


TABLE = {
    "dense": (Dense(), 1_048_576, 16_777_216, 1),
    "dense-causal": (Dense(True), 524_800, 8_390_656, 1),
    "block": (Blocks(64), 65_536, 262_144, None),
    "block-causal": (Blocks(64, causal=True), 33_280, 133_120, None),
    "window": (Band(32, 32), 65_504, 265_184, 8),
    "window-causal": (Band(63), 63_520, 260_128, 5),
    "window-exact": (Band(64), 64_480, 264_160, 4),
    "look-back": (Blocks(64, 1, causal=True), 94_720, 391_168, 3),
    "dilated": (Band(32, 32, 2), 64_448, 264_128, None),
    "longformer-64": (Band(32, 32) | Global(1), 67_486, 273_310, 2),
    "longformer-512": (Band(256, 256) | Global(1), 461_054, 2_043_134, 1),
    "etc": (Band(21, 21) | Global(16), 75_394, 305_794, 2),
    "log-sparse": (Offsets((0, *[1 << k for k in range(12)])), 10_241, 49_153, 8),
    "sinks": (Band(63) | Global(4, causal=True), 67_354, 276_250, 4),
}


@pytest.mark.parametrize("name", TABLE)
def test_edges_and_layers_of_the_table(name: str) -> None:
    expr, at_1k, at_4k, layers = TABLE[name]
    assert (edges(expr, 1024), edges(expr, 4096)) == (at_1k, at_4k)
    assert reach(256, expr).layers_to_full == layers


def by_root(n: int) -> dict[str, tuple[Expr, int | None]]:
    side = isqrt(n)
    return {
        "strided-near": (Band(side), 16),
        "strided-far": (Strided(side, True), None),
        "strided-merged": (Band(side) | Strided(side, True), 2),
        "fixed-own": (Blocks(side, causal=True), None),
        "fixed-summary": (Summary(side, side - 4, side, True), None),
        "fixed-merged": (Blocks(side, causal=True) | Summary(side, side - 4, side, True), 2),
        "axial": (axial(side), 2),
        "axial-past": (axial(side).past(), None),
        "swin": (GridWindows(side, 8), None),
        "swin-shifted": (GridWindows(side, 8, 4), None),
    }


EDGES_BY_ROOT = {
    "strided-near": (33_264, 264_160),
    "strided-far": (16_896, 133_120),
    "strided-merged": (48_144, 389_152),
    "fixed-own": (16_896, 133_120),
    "fixed-summary": (63_808, 516_736),
    "fixed-merged": (80_384, 649_216),
    "axial": (64_512, 520_192),
    "axial-past": (32_768, 262_144),
    "swin": (65_536, 262_144),
    "swin-shifted": (50_176, 230_400),
}


@pytest.mark.parametrize("name", EDGES_BY_ROOT)
def test_edges_and_layers_where_the_stride_is_the_root(name: str) -> None:
    counted = tuple(edges(by_root(n)[name][0], n) for n in (1024, 4096))
    assert counted == EDGES_BY_ROOT[name]
    expr, layers = by_root(256)[name]
    assert reach(256, expr).layers_to_full == layers


def test_a_fixed_summary_alone_leaves_queries_with_nothing_to_read() -> None:
    degree = Summary(32, 28, 32, True).slices(1024).out_degree()
    assert (degree.min(), degree.max()) == (0, 128)
    assert degree.mean() == pytest.approx(62.31, abs=0.005)


DEGREES = {
    "dense": (1024, 1024, 1024),
    "dense-causal": (1, 512.5, 1024),
    "block": (64, 64, 64),
    "block-causal": (1, 32.5, 64),
    "window": (33, 63.97, 65),
    "window-causal": (1, 62.03, 64),
    "window-exact": (1, 62.97, 65),
    "look-back": (1, 92.5, 128),
    "dilated": (33, 62.94, 65),
    "longformer-64": (34, 65.9, 1024),
    "longformer-512": (258, 450.25, 1024),
    "etc": (38, 73.63, 1024),
    "log-sparse": (1, 10, 11),
    "sinks": (1, 65.78, 68),
    "strided-near": (1, 32.48, 33),
    "strided-far": (1, 16.5, 32),
    "strided-merged": (1, 47.02, 63),
    "fixed-own": (1, 16.5, 32),
    "fixed-summary": (0, 62.31, 128),
    "fixed-merged": (1, 78.5, 156),
    "axial": (63, 63, 63),
    "axial-past": (1, 32, 63),
    "swin": (64, 64, 64),
    "swin-shifted": (16, 49, 64),
}


@pytest.mark.parametrize("name", DEGREES)
def test_degrees_of_the_table(name: str) -> None:
    expr = TABLE[name][0] if name in TABLE else by_root(1024)[name][0]
    degree = expr.slices(1024).out_degree()
    least, mean, most = DEGREES[name]
    assert (degree.min(), degree.max()) == (least, most)
    assert degree.mean() == pytest.approx(mean, abs=0.0051)


@pytest.mark.parametrize(
    ("block", "n", "blocks", "density"), [(16, 1024, 622, 0.1519), (16, 4096, 2542, 0.03879), (64, 4096, 622, 0.1519)]
)
def test_bigbird_of_the_catalogue_has_the_edges_of_the_table(block: int, n: int, blocks: int, density: float) -> None:
    target = door.find("bigbird", params={"block": block})
    pattern = target.graph(Shape(n, heads=1, dim=8))  # type: ignore[attr-defined]
    assert pattern.edges(0, 0) == blocks * block**2
    assert pattern.edges(0, 0) / n**2 == pytest.approx(density, rel=1e-3)
    assert solve(LayeredRelation.of(pattern), ReachRequest(), "auto").layers_to_full == 2
    if (block, n) == (16, 1024):
        degree = pattern.slices(0, 0).out_degree()
        assert (degree.min(), degree.mean(), degree.max()) == (112, 155.5, 1024)
