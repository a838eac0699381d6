"""Parts without a token, keys named twice, tables that name what there is not."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from attnprof.contracts import Spec, Target
from attnprof.counting import count
from attnprof.errors import AttnprofError
from attnprof.layers.gathered import GatherCore
from attnprof.pattern import (
    Band,
    BlockTable,
    Explicit,
    Expr,
    FramedBlocks,
    Global,
    GridWindows,
    KeyTable,
    Pattern,
    Segments,
    Slices,
    Summary,
)
from attnprof.shapes import Shape
from attnprof.targets import door


def mixed(expr: Expr, n: int) -> torch.Tensor:
    """What gathering makes of values 0 ... n - 1 whose scores are equal: the mean of the keys that are read."""
    shape = Shape(n, dim=1, heads=1, dtype="float64", level="core")
    core = GatherCore(Spec(shape, {}, Pattern("drawn", n, False, lambda layer, head: expr)))
    q = torch.zeros(1, 1, n, 1, dtype=torch.float64)
    return core(q, q, torch.arange(n, dtype=torch.float64)[None, None, :, None]).flatten()


def test_a_key_named_twice_weighs_once() -> None:
    """Rows 0,1 / 1,0,0 / 2,1,1 / 0,3,0: means 0.5, 0.5, 1.5, 1.5. Counted twice, the second would be 1/3."""
    table = KeyTable(np.array([[0, 1, -1], [1, 0, 0], [2, 1, 1], [0, 3, 0]]))
    assert mixed(table, 4).tolist() == [0.5, 0.5, 1.5, 1.5]


@pytest.mark.parametrize(
    "expr", [Band(1, 1) | Global(0), Band(1, 1) | Global(9, first=7), Band(1, 1) | Global(2, rows=False, columns=False)]
)
def test_no_global_token_is_the_window_alone(expr: Expr) -> None:
    assert mixed(expr, 4).tolist() == [0.5, 1.0, 2.0, 2.5]


def test_a_row_alone_leaves_the_others_without_a_key() -> None:
    assert mixed(Global(2, first=1, columns=False), 4).tolist() == [0.0, 1.5, 0.0, 0.0]


@pytest.mark.parametrize("n", [1, 5])
@pytest.mark.parametrize("expr", [Summary(3, 1, 1), Band(-1), Global(0), Global(0, rows=False), Summary(3, 2, 1)])
def test_a_part_without_a_key_gives_zeros(expr: Expr, n: int) -> None:
    assert (mixed(expr, n) == 0).all()


def test_a_hub_that_is_causal_beside_a_window_that_is_not_takes_no_edge_from_it() -> None:
    """Token 0 reads 0 and 1 by the window; the global column 1 alone would hide 1 from it."""
    assert mixed(Band(1, 1) | Global(2, causal=True), 3).tolist() == [0.5, 1.0, 1.0]


def test_segments_have_one_first_whether_it_is_named_or_not() -> None:
    named, unnamed = Segments((0, 5, 10)), Segments((5, 10))
    i = np.arange(12)
    for n in (3, 7, 12):
        assert (named.slices(n).dense() == unnamed.slices(n).dense()).all()
        assert (unnamed.slices(n).dense() == unnamed.rule(i[:n, None], i[None, :n])).all()


@pytest.mark.parametrize(
    ("made", "told"),
    [
        (lambda: Segments((5, 2)), "do not rise"),
        (lambda: Segments((-1, 2)), "do not rise"),
        (lambda: Summary(4, 2, 5), "columns 2 to 5 of a stride of 4"),
        (lambda: Summary(4, -1, 2), "columns -1 to 2"),
        (lambda: KeyTable(np.array([[-2]])), "names the key -2"),
        (lambda: KeyTable(np.array([[0]])).slices(2), "1 rows for 2 tokens"),
        (lambda: BlockTable(4, np.array([[0], [2]])), "names the block 2"),
        (lambda: BlockTable(4, np.array([[0], [1]]), full=(-1,)), "names the full block -1"),
        (lambda: BlockTable(4, np.array([[0], [1]])).slices(9), "2 rows for 9 tokens"),
        (lambda: Explicit(Slices.empty(3)).slices(4), "3 queries over 3 keys, not 4"),
        (lambda: FramedBlocks(2, 2, -1), "frame = -1"),
        (lambda: FramedBlocks(0, 2, 1), "across is at least 1"),
        (lambda: GridWindows(4, 0), "window is at least 1"),
    ],
)
def test_what_a_primitive_cannot_mean_is_refused(made: Callable[[], object], told: str) -> None:
    with pytest.raises(AttnprofError, match=told):
        made()


@pytest.mark.parametrize(
    ("name", "params", "n"),
    [
        ("longformer", {"global_tokens": 0}, 1),
        ("sparse_fixed", {"summary": 0}, 37),
        ("sparse_fixed", {"summary": 0, "combine": "alternate"}, 37),
        ("sinks", {"sinks": 0, "window": 1}, 1),
        ("sinks", {"window": 0}, 1),
        ("sinks", {"window": 0}, 9),
        ("sliding_window", {"window": 0}, 1),
        ("dilated_window", {"window": 0}, 7),
        ("longformer", {"window": 0}, 7),
        ("etc", {"window": 0, "global_tokens": 1}, 7),
        ("star", {"global_tokens": 0}, 5),
        ("bigbird", {"global_blocks": 0, "random_blocks": 0, "block": 4}, 13),
        ("bigbird", {"window_blocks": 0, "global_blocks": 0, "random_blocks": 0, "block": 4}, 13),
    ],
)
def test_schemes_without_a_part_run_and_count(name: str, params: dict[str, int], n: int) -> None:
    target = door.find(name, params=params, impl="gather")
    for causal in target.card.causality:
        runs_and_counts(target, Shape(n, dim=8, heads=2, dtype="float64", level="core", causal=causal))


def runs_and_counts(target: Target, shape: Shape) -> None:
    """The core is its reference, and executes what its edges need at least."""
    module, reference, streams = target.build(shape), target.reference(shape), target.inputs(shape)
    reference.load_state_dict(module.state_dict())
    torch.testing.assert_close(module(*streams), reference(*streams))
    cost = count(target, shape.replace(dtype="float32"), "train").cost
    assert cost.flops_core_useful is not None
    assert cost.flops_core_executed is not None
    assert cost.flops_core_useful <= cost.flops_core_executed
