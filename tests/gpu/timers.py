"""Other people's timers, to hold attnprof's medians against: triton's, CUDA graphs, torch's benchmark on a host."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Any

import torch

from attnprof.device import device_named
from attnprof.measure.sampling import sample

Run = Callable[[], object]
BUDGET_S = 0.15
REPLAYS, WARM = 25, 3


def ours(run: Run, device: str) -> tuple[float, ...]:
    """attnprof's own samples of a pass, in seconds: its clock, its clearing of the cache, its stopping rule."""
    on = device_named(device)
    taken = sample([run], on.clock(), budget_s=BUDGET_S, before=on.flush(), warmed=True)
    return tuple(map(sum, taken.laps))


def by_triton(run: Run) -> float:
    """The median of `triton.testing.do_bench`, which clears the cache too."""
    from triton import testing

    bench: Any = testing.do_bench
    return bench(run, warmup=25, rep=round(BUDGET_S * 1e3), return_mode="median") / 1e3


def by_graph(run: Run) -> float:
    """The median of replays of a CUDA graph, in which no launch waits for the host; the cache cleared before each."""
    beside: Any = torch.cuda.Stream()
    beside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(beside):
        for _ in range(WARM):
            run()
    torch.cuda.current_stream().wait_stream(beside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        run()
    flush, times = device_named("cuda").flush(), []
    for _ in range(REPLAYS):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        if flush is not None:
            flush()
        begin.record()
        graph.replay()
        end.record()
        torch.cuda.synchronize()
        times.append(begin.elapsed_time(end) / 1e3)
    return statistics.median(times)


def by_torch(run: Run) -> float:
    """The median of single runs by `torch.utils.benchmark`, on a host; blocks of runs would hold its preemptions."""
    from torch.utils.benchmark import Timer

    timer = Timer("run()", globals={"run": run}, num_threads=torch.get_num_threads())
    return statistics.median(timer.timeit(1).median for _ in range(REPLAYS))


ON_DEVICE: tuple[tuple[str, Callable[[Run], float]], ...] = (
    ("triton.testing.do_bench", by_triton),
    ("CUDA graph", by_graph),
)
ON_HOST: tuple[tuple[str, Callable[[Run], float]], ...] = (("torch.utils.benchmark", by_torch),)
