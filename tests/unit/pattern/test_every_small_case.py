"""Every primitive at every small setting, pair by pair, by its one line in plain Python: nothing is drawn."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from attnprof.errors import AttnprofError
from attnprof.pattern import (
    Band,
    Blocks,
    BlockTable,
    Dense,
    Expr,
    FramedBlocks,
    Global,
    GridWindows,
    Halo,
    KeyTable,
    Offsets,
    Segments,
    Slices,
    Strided,
    Summary,
)
from attnprof.pattern.listed import numbers, of_head
from attnprof.pattern.slots import Kernel, Slots, compose

Reads = Callable[[int, int], bool]
Case = tuple[Expr, Reads]
LENGTHS = (1, 2, 5, 6, 9)
YES = (False, True)


def past(reads: Reads, causal: bool) -> Reads:
    return lambda i, j: reads(i, j) and (j <= i or not causal)


def dense() -> Iterator[Case]:
    for causal in YES:
        yield Dense(causal), past(lambda i, j: True, causal)
    yield Dense(), lambda i, j: True


def bands() -> Iterator[Case]:
    for before, after, step in itertools.product((0, 1, 3), (0, 1, 2), (1, 2, 3)):
        lags = {step * k for k in range(-before, after + 1)}
        yield Band(before, after, step), lambda i, j, lags=lags: j - i in lags
    yield Band(2), lambda i, j: 0 <= i - j <= 2
    yield Band(1, 1), lambda i, j: abs(i - j) <= 1


def strides() -> Iterator[Case]:
    for stride, causal in itertools.product((1, 2, 3, 7), YES):
        yield Strided(stride, causal), past(lambda i, j, s=stride: (i - j) % s == 0, causal)
    yield Strided(2), lambda i, j: (i + j) % 2 == 0


def offsets() -> Iterator[Case]:
    for lags in ((0,), (1,), (-1, 2), (3, 0, -2, 0), ()):
        yield Offsets(lags), lambda i, j, lags=lags: i - j in lags


def summaries() -> Iterator[Case]:
    for stride, causal in itertools.product((1, 2, 3, 4), YES):
        for first, last in itertools.combinations_with_replacement(range(stride + 1), 2):
            named = set(range(first, last))
            yield Summary(stride, first, last, causal), past(lambda i, j, s=stride, c=named: j % s in c, causal)
    yield Summary(2, 1, 2), lambda i, j: j % 2 == 1


def blocks() -> Iterator[Case]:
    for size, before, after, causal in itertools.product((1, 2, 3), (0, 1, 2), (0, 1), YES):
        near = set(range(-before, after + 1))
        reads = past(lambda i, j, s=size, near=near: j // s - i // s in near, causal)
        yield Blocks(size, before, after, causal), reads
    yield Blocks(2), lambda i, j: i // 2 == j // 2


def halos() -> Iterator[Case]:
    for size, before, after, causal in itertools.product((1, 2, 4), (0, 1, 3), (0, 1, 2), YES):

        def reads(i: int, j: int, size: int = size, before: int = before, after: int = after) -> bool:
            own = [k for k in range(20) if k // size == i // size]
            return own[0] - before <= j <= own[-1] + after

        yield Halo(size, before, after, causal), past(reads, causal)
    yield Halo(3), lambda i, j: i // 3 == j // 3


def hubs() -> Iterator[Case]:
    for first, last, rows, columns, causal in itertools.product((0, 1, 3), (0, 1, 2, 4), YES, YES, YES):
        named = set(range(first, last))
        reads = past(lambda i, j, t=named, r=rows, c=columns: (r and i in t) or (c and j in t), causal)
        yield Global(last, first, rows, columns, causal), reads
    yield Global(2), lambda i, j: min(i, j) < 2


def segments() -> Iterator[Case]:
    for bounds, causal in itertools.product(((), (0,), (1,), (2, 4), (0, 3), (3, 3), (5, 20)), YES):

        def reads(i: int, j: int, bounds: tuple[int, ...] = bounds) -> bool:
            return sum(i >= bound for bound in bounds) == sum(j >= bound for bound in bounds)

        yield Segments(bounds, causal), past(reads, causal)
    yield Segments((2,)), lambda i, j: (i < 2) == (j < 2)


def grids() -> Iterator[Case]:
    for width, window, shift in itertools.product((1, 2, 3), (1, 2, 3), (0, 1, 2, 4)):

        def place(at: int, window: int = window, shift: int = shift) -> int:
            return sum(at >= edge for edge in range(shift % window, 50, window))

        def reads(i: int, j: int, width: int = width, place: Callable[[int], int] = place) -> bool:
            return place(i // width) == place(j // width) and place(i % width) == place(j % width)

        yield GridWindows(width, window, shift), reads
    yield GridWindows(3, 2), lambda i, j: i // 6 == j // 6 and i % 3 // 2 == j % 3 // 2


def frames() -> Iterator[Case]:
    for across, side, frame in itertools.product((1, 2, 3), (1, 2), (0, 1, 2, 3)):
        order = pixels(across, side)

        def reads(i: int, j: int, order: list[tuple[int, int]] = order, side: int = side, frame: int = frame) -> bool:
            (row, column), (y, x) = order[i], order[j]
            top, left = row - row % side, column - column % side
            return j <= i and y >= top - frame and left - frame <= x <= left + side - 1 + frame

        yield FramedBlocks(across, side, frame), reads


def pixels(across: int, side: int) -> list[tuple[int, int]]:
    """Row and column of each token: block after block, and within a block row after row."""
    return [
        (down * side + row, right * side + column)
        for down in range(40)
        for right in range(across)
        for row in range(side)
        for column in range(side)
    ]


KINDS = (dense, bands, strides, offsets, summaries, blocks, halos, hubs, segments, grids, frames)


def holds(expr: Expr, reads: Reads, n: int) -> None:
    """Slices, rule, bound rule and count are the meaning, each edge once and rows in order."""
    wanted = np.array([[bool(reads(i, j)) for j in range(n)] for i in range(n)])
    found = expr.slices(n)
    assert (found.dense() == wanted).all(), (expr, n)
    assert expr.edges(n) == found.edges == wanted.sum(), (expr, n)
    well_formed(found)
    assert (expr.degrees(n) == wanted.sum(axis=1)).all(), (expr, n)
    some_rows(expr, wanted, n)
    i, j = np.arange(n)[:, None], np.arange(n)[None]
    for rule in (expr.rule(i, j), expr.bound(np.asarray)(i, j)):
        assert rule is None or (np.broadcast_to(rule, (n, n)) == wanted).all(), (expr, n)
    assert (expr.past().slices(n).dense() == np.tril(wanted)).all()


def some_rows(expr: Expr, wanted: np.ndarray, n: int) -> None:
    """Rows asked for by themselves are those rows, and nothing of the others; lags are read where a row shows them."""
    read = expr.reader(n)
    for first, last in ((0, 1), (n // 2, n), (n // 3, n // 3 + 1), (n // 3, n // 2), (n, n)):
        part = read(first, last)
        inside = (np.arange(n)[:, None] >= first) & (np.arange(n)[:, None] < last)
        assert (part.dense() == wanted & inside).all(), (expr, n, first, last)
        assert part.edges == (wanted & inside).sum()
    lags = expr.by_lag(n)
    if lags is not None:
        assert all(lags[i - j + n - 1] == wanted[i, j] for i in range(n) for j in range(n)), (expr, n)


def well_formed(found: Slices) -> None:
    """Sorted, clipped, and as short as can be: a slice ends with its last key, one of a single key has step 1."""
    assert (np.diff(found.row) >= 0).all()
    assert ((found.row >= 0) & (found.row < found.n) & (found.start >= 0) & (found.stop <= found.m)).all()
    assert (found.counts > 0).all()
    assert ((found.stop - 1 - found.start) % found.step == 0).all()
    assert (found.step[found.counts == 1] == 1).all()
    same = np.diff(found.row) == 0
    assert (np.diff(found.start)[same] >= 0).all()


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_a_primitive_is_its_one_line(kind: Callable[[], Iterator[Case]]) -> None:
    for expr, reads in kind():
        for n in LENGTHS:
            holds(expr, reads, n)


def test_frames_reach_over_whole_images() -> None:
    for expr, reads in frames():
        holds(expr, reads, 26)


@pytest.mark.parametrize("causal", YES)
def test_tables_name_blocks_and_keys(causal: bool) -> None:
    """Nine tokens in blocks of 2: five, the last of one token. Block 2 is full; 1 names a block twice, 3 none."""
    rows = [[0, 4], [3, 3], [1, -1], [-1, -1], [4, 0]]
    table = BlockTable(2, np.array(rows), full=(2,), causal=causal)
    holds(table, past(lambda i, j: i // 2 == 2 or j // 2 in rows[i // 2], causal), 9)
    none = BlockTable(3, np.array([[1, 0], [0, 0]]), causal=causal)
    holds(none, past(lambda i, j: j // 3 in ([1, 0], [0, 0])[i // 3], causal), 5)
    ahead = -1 if causal else 3, -1 if causal else 4
    assert table.lists().tolist() == [[0, ahead[1]], [ahead[0], -1], [-1, -1], [-1, -1], [0, 4]]
    keys = [[4, 0, 4], [1, -1, 1], [-1, -1, -1], [0, 3, 2], [4, 5, 9]]
    holds(KeyTable(np.array(keys)), lambda i, j: j in keys[i], 5)
    holds(KeyTable(np.array(keys)), lambda i, j: j in keys[i], 4)


def test_declared_tokens_are_those_named() -> None:
    """Block 1 of a table is full and read by all others, block 0 is full and not read by block 2."""
    hub = Global(3, first=1).declares(5)
    assert hub.rows.tolist() == hub.columns.tolist() == [False, True, True, False, False]
    assert Global(3, rows=False).declares(5).rows.sum() == Global(3, columns=False).declares(5).columns.sum() == 0
    table = BlockTable(2, np.array([[1, 0], [0, 1], [1, 2]]), full=(0, 1)).declares(5)
    assert table.rows.tolist() == [True, True, True, True, False]
    assert table.columns.tolist() == [False, False, True, True, False]
    both = (Global(1) | Global(4, first=3)).declares(5)
    assert both.rows.tolist() == [True, False, False, True, False]
    assert (Band(1) + Global(1)).past().declares(3).rows.tolist() == [True, False, False]
    columns = Summary(4, 1, 3).declares(8)
    assert columns.columns.tolist() == [False, True, True, False, False, True, True, False]
    assert columns.rows.sum() == 0
    assert Band(1).declares(3).rows.sum() == 0
    assert Slots.full(3, 2, Global(1)).declares(3).columns.tolist() == [True, False, False]
    assert Slots.full(3, 2).declares(3).columns.sum() == 0


def test_unions_are_flat_and_sums_keep_their_softmaxes() -> None:
    a, b, c = Band(1), Strided(3), Global(1)
    assert ((a | b) | c).parts == (a | (b | c)).parts == (a, b, c)  # type: ignore[attr-defined]
    assert ((a + b) + c).terms() == (a, b, c)
    assert ((a + b) | c).parts[1:] == (c,)  # type: ignore[attr-defined]
    assert ((a | b) + c).terms()[1:] == (c,)
    assert a.terms() == (a,)
    for whole in (a | b | c, a + b + c):
        holds(whole, lambda i, j: 0 <= i - j <= 1 or (i - j) % 3 == 0 or i < 1 or j < 1, 7)
    assert (a | KeyTable(np.zeros((7, 1), dtype=np.int64))).rule(0, 0) is None


def test_sizes_of_a_head_are_shared_out_in_turn() -> None:
    assert numbers("64, 128,256") == [64, 128, 256]
    assert numbers(512) == [512]
    assert [of_head("1,2,3", head, 6) for head in range(6)] == [1, 1, 2, 2, 3, 3]
    assert [of_head("1,2", head, 3) for head in range(3)] == [1, 1, 2]
    assert [of_head("1,2", head, 2) for head in range(2)] == [1, 2]
    assert of_head(7, 3, 4) == 7
    with pytest.raises(AttnprofError, match="2 sizes for 1 heads"):
        of_head("1,2", 0, 1)
    with pytest.raises(AttnprofError, match="not a list of sizes"):
        numbers("1,x")


def test_slots_pass_on_what_they_read() -> None:
    """Slot 0 reads tokens 0 and 3, slot 1 token 4; token 1 reads both slots, token 2 the second; two of five do."""
    reads = Slices.from_pairs(2, [0, 0, 1], [0, 3, 4], 5)
    writes = Slices.from_pairs(5, [1, 1, 2], [0, 1, 1], 2)
    through = {(1, 0), (1, 3), (1, 4), (2, 4)}
    assert pairs_of(compose(writes, reads)) == through
    assert pairs_of(Slots(2, reads, writes).slices(5)) == through
    beside = Slots(2, reads, writes, Band(0))
    assert pairs_of(beside.slices(5)) == through | {(i, i) for i in range(5)}
    # In a row, each slot also depends on what its tokens have read: token 3 on 2, token 4 on 3.
    in_a_row = Slots(2, reads, writes, Band(1), in_a_row=True)
    assert pairs_of(in_a_row.sources(5)) == {(0, 0), (0, 2), (0, 3), (1, 3), (1, 4)}
    whole = Slots.full(3, 2)
    assert whole.reads.dense().shape == (2, 3)
    assert whole.writes.dense().shape == (3, 2)
    assert whole.reads.dense().all()
    assert whole.writes.dense().all()
    assert Kernel(4).slices(3).edges == 9
    assert Kernel(4, causal=True).slices(3).edges == 6


def pairs_of(slices: Slices) -> set[tuple[int, int]]:
    return {(int(i), int(j)) for i, j in np.argwhere(slices.dense())}


def test_a_table_that_names_what_is_not_there_says_what_there_is() -> None:
    with pytest.raises(AttnprofError) as keys:
        KeyTable(np.array([[-2]]))
    assert keys.value.hint == "0, or -1 for none"
    with pytest.raises(AttnprofError) as blocks:
        BlockTable(4, np.array([[0], [2]]))
    assert blocks.value.hint == "0 to 1, or -1 for none"
    with pytest.raises(AttnprofError) as full:
        BlockTable(4, np.array([[0], [1]]), full=(-1,))
    assert full.value.hint == "0 to 1"


def test_pieces_are_all_rows_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sixty-four rows first; then as many as keep a piece at its number of slices, and no more than so many rows."""
    from attnprof.pattern import expr

    for n in (1, 63, 64, 65, 5000):
        pieces = list(Band(3, 2).pieces(n))
        assert np.concatenate([piece.row for piece in pieces]).tolist() == list(range(n))
        assert len(pieces[0].row) == min(n, 64)
    assert [len(piece.row) for piece in Band(3, 2).pieces(5000)] == [64, 2048, 2048, 840]
    # Two slices a row but for the first three, where hub and window touch: 125 of 64 rows, so that the next piece has
    # 128 * 64 // 125 = 65 rows, and the one after it 128 * 65 // 130 = 64.
    monkeypatch.setattr(expr, "PIECE_SLICES", 128)
    assert [len(piece.row) for piece in (Band(1) | Global(1)).pieces(300)][:3] == [125, 130, 128]
    monkeypatch.setattr(expr, "MOST_SLICES", 100)
    with pytest.raises(AttnprofError, match="more than 100 separate runs"):
        list(Band(3, 2).pieces(500))
