"""What torch's CPU flash kernel computes, seen in a real run: the tiles that are counted are those that it visits.

A weight of 0 times NaN is NaN. So with NaN in the value of one key, the rows that come out as NaN are those whose tiles
hold that key, masked or not. How many queries a tile has shows in the scratch that the kernel allocates.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from attnprof.counting import count
from attnprof.counting.tiles import flash_cpu, flash_cpu_split
from attnprof.shapes import Shape
from attnprof.targets import door
from attnprof.words import Level, Pass
from tests.laws.work import flash_pairs

aten = torch.ops.aten
SIZES = [(1, 1), (31, 31), (33, 33), (191, 191), (192, 192), (512, 512), (513, 513), (700, 700), (767, 767)]
LONG = [(768, 768), (1025, 1025), (1100, 1100), (40, 1100), (700, 600), (1100, 600), (600, 1030)]


def probes(m: int) -> list[int]:
    """The first and the last key, and those on both sides of every multiple of 32, where any block could end."""
    edges = {at for edge in range(32, m, 32) for at in (edge - 1, edge)}
    return sorted({0, m - 1} | edges)


def poisoned(n: int, m: int, d: int, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor, list[int]]:
    """Queries, keys, values with a head for every probed key, whose value is NaN."""
    keys = probes(m)
    q, k, v = (torch.randn(1, len(keys), rows, d, dtype=dtype) for rows in (n, m, m))
    v[0, torch.arange(len(keys)), torch.tensor(keys)] = float("nan")
    return q, k, v, keys


def pairs_seen(reached: Tensor, keys: list[int]) -> int:
    """Pairs from which keys `[probed]` reached which rows `[probed, n]`: a row's keys are those from 0 to the last."""
    for row in reached.unbind(1):
        seen = row.tolist()
        assert seen == sorted(seen, reverse=True), "a row skips a tile"
    return int((torch.tensor(keys)[:, None] * reached).amax(0).add(1).sum())


@pytest.mark.parametrize(("n", "m"), SIZES + LONG)
@pytest.mark.parametrize("causal", [True, False], ids=["causal", "both-ways"])
def test_the_forward_visits_the_tiles_that_are_counted(n: int, m: int, causal: bool) -> None:
    q, k, v, keys = poisoned(n, m, 4, torch.float32)
    out = aten._scaled_dot_product_flash_attention_for_cpu(q, k, v, 0.0, causal)[0]
    seen = pairs_seen(out[0].isnan().any(-1), keys)
    assert flash_cpu(n, m, causal).pairs == seen == flash_pairs(n, m, causal)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
@pytest.mark.parametrize("d", [1, 3, 64])
def test_neither_head_width_nor_dtype_moves_a_tile(d: int, dtype: torch.dtype) -> None:
    q, k, v, keys = poisoned(530, 530, d, dtype)
    out = aten._scaled_dot_product_flash_attention_for_cpu(q, k, v, 0.0, True)[0]
    assert pairs_seen(out[0].isnan().any(-1), keys) == flash_cpu(530, 530, True).pairs == 512 * 512 + 18 * 530


@pytest.mark.parametrize(("n", "m"), [(33, 33), (192, 192), (530, 530), (768, 768), (1030, 1030)])
@pytest.mark.parametrize("causal", [True, False], ids=["causal", "both-ways"])
def test_the_backward_visits_the_same_tiles(n: int, m: int, causal: bool) -> None:
    """The gradient of a query is a sum over weights times (gradient of the output times values), of all its tiles."""
    q, k, v, keys = poisoned(n, m, 4, torch.float32)
    out, norm = aten._scaled_dot_product_flash_attention_for_cpu(q, k, v.nan_to_num(0.0), 0.0, causal)
    grad = torch.ones_like(out)
    of_q = aten._scaled_dot_product_flash_attention_for_cpu_backward(grad, q, k, v, out, norm, 0.0, causal)[0]
    assert pairs_seen(of_q[0].isnan().any(-1), keys) == flash_cpu(n, m, causal).pairs


@pytest.mark.parametrize(("n", "rows"), [(31, 31), (32, 32), (191, 32), (192, 64), (767, 64), (768, 256), (1030, 256)])
def test_a_tile_has_as_many_queries_as_the_kernels_scratch_has_room_for(n: int, rows: int) -> None:
    """One float for each score of a tile, two for each of its rows, and the rows of the output: r (512 + 2 + d)."""
    q, k, v = (torch.randn(1, 1, length, 8) for length in (n, 600, 600))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.no_grad(), profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
            aten._scaled_dot_product_flash_attention_for_cpu(q, k, v, 0.0, False)
    finally:
        torch.set_num_threads(threads)
    traced: Any = profiler.profiler
    events = [event.nbytes() for event in traced.kineto_results.events() if event.name() == "[memory]"]
    scratch = max(events)
    assert scratch == rows * (512 + 2 + 8) * 4
    assert min(flash_cpu_split(n), n) == rows


@pytest.mark.parametrize(("n", "pairs"), [(1024, 512 * 512 + 512 * 1024), (700, 512 * 512 + 188 * 700), (100, 100**2)])
@pytest.mark.parametrize("pass_", [Pass.FORWARD, Pass.TRAIN])
def test_the_scheme_is_counted_by_them(n: int, pairs: int, pass_: Pass) -> None:
    """Two products a pair forward; backward forms the scores again, and four products more: five."""
    shape = Shape(n, dim=64, heads=2, causal=True, level=Level.CORE)
    counted = count(door.find("flash"), shape, pass_).cost.flops_core_executed
    assert counted == (2 if pass_ is Pass.FORWARD else 2 + 5) * 2 * 2 * 32 * pairs
