"""Made-up records of a sweep that exercise everything a report can show: every status, crossovers, disagreements."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from attnprof.interval import Interval
from attnprof.records import Certificate, Cost, Measured, OpCount, Pass, Point, Record, content_hash
from attnprof.shapes import Shape

LENGTHS = (1024, 2048, 4096, 8192, 16384, 32768, 65536)
MEMORY = 16 * 2**30
BUDGET_S = 2.0
SPEED = 9e10


@dataclass(frozen=True)
class Fake:
    """A scheme made up of its edges a head, what it executes for an edge, and what it keeps."""

    name: str
    edges: Callable[[int], float] | None
    executed: Callable[[int], float]
    impl: str | None = None
    causality: tuple[bool, ...] = (False, True)
    saved: float = 1.0
    extra: float = 0.0


SCHEMES: tuple[Fake, ...] = (
    Fake("dense", lambda n: n * n, lambda n: n * n, saved=4.0),
    Fake("flash", lambda n: n * n, lambda n: n * n, saved=0.0),
    Fake("sliding_window", lambda n: n * 513, lambda n: n * 768, "gather"),
    Fake("longformer", lambda n: n * 515, lambda n: n * 900, "gather"),
    Fake("bigbird", lambda n: n * 640, lambda n: n * 720, "gather", (False,)),
    Fake("sparse_strided", lambda n: 2 * n**1.5, lambda n: n * n, "masked", (True,), saved=4.0),
    Fake("linformer", None, lambda n: n * 512, None, (False,)),
    Fake("performer", None, lambda n: n * 532),
    Fake("linear", None, lambda n: n * 64),
)


def records(schemes: tuple[Fake, ...] = SCHEMES, lengths: tuple[int, ...] = LENGTHS) -> list[Record]:
    """The sweep of these schemes: forward and train, with and without causality where the scheme has it."""
    return [r for fake in schemes for r in _scheme(fake, lengths)]


def many(count: int = 30) -> list[Record]:
    """A sweep of that many schemes, the baselines among them."""
    more = tuple(
        Fake(f"scheme_{k:02d}", lambda n, k=k: n * 40 * (k + 1), lambda n, k=k: n * 55 * (k + 1) ** 1.2, "gather")
        for k in range(count - len(SCHEMES))
    )
    return records(SCHEMES + more)


def header(**changes: Any) -> dict[str, Any]:
    """The header of the made-up run."""
    return {
        "schema_version": 2,
        "command": "attnprof sweep --lengths 1k-64k",
        "created_at": "2026-01-02T03:04:05+00:00",
        "version": "0.1.0",
        "plan": {"lengths": list(LENGTHS), "passes": ["forward", "train"], "targets": [f.name for f in SCHEMES]},
        "environment": {
            "hostname": "lab-17",
            "cpu": "Example CPU @ 2.10GHz",
            "cores": 2,
            "memory_bytes": MEMORY,
            "gpu": None,
            "python": "3.11.7",
            "torch": "2.13.0+cpu",
            "platform": "Linux-6.1-x86_64",
            "threads": 2,
        },
        **changes,
    }


def graph(name: str, n: int = 4096, layers: int | None = 3) -> Record:
    """A graph record with its picture."""
    side = 64
    image = [[1.0 if abs(i - j) < 5 or j < 2 else 0.0 for j in range(side)] for i in range(side)]
    point = Point(name, Shape(n=n))
    metrics: Mapping[str, Any] = {"layers_to_full": layers, "edges": 123456, "image": image}
    return Record("graph", content_hash(["graph", name, n]), point, metrics=metrics)


def _scheme(fake: Fake, lengths: tuple[int, ...]) -> Iterator[Record]:
    passes: tuple[Pass, ...] = ("forward", "train")
    for causal in (False, True):
        for pass_ in passes:
            for n in lengths:
                yield _record(fake, n, pass_, causal)


def _record(fake: Fake, n: int, pass_: Pass, causal: bool) -> Record:
    params = {"window": 512} if fake.name in ("sliding_window", "longformer") else {}
    point = Point(fake.name, Shape(n=n, causal=causal), pass_, "cpu", fake.impl, params=params)
    key = content_hash(point.to_json())
    if causal not in fake.causality:
        reasons = {"status": f"{fake.name} is not defined with causal={causal}"}
        return Record("cost", key, point, status="unsupported", reasons=reasons)
    cost = _cost(fake, n, pass_, causal)
    seconds = (cost.flops_executed or 0) / SPEED * (2.2 if fake.impl == "gather" else 1.0) + 2e-4
    if (cost.peak_bytes or 0) > MEMORY:
        text = f"predicted peak of {cost.peak_bytes:,} bytes exceeds the {MEMORY:,} bytes free"
        return Record("cost", key, point, cost, status="predicted_oom", reasons={"measured": text})
    if fake.name == "performer" and n == 16384 and pass_ == "train":
        return Record("cost", key, point, cost, status="failed", reasons={"measured": "RuntimeError: made up"})
    if seconds > BUDGET_S * 3:
        text = f"predicted to take {seconds:.1f} s, beyond the budget of {BUDGET_S:.1f} s"
        return Record("cost", key, point, cost, status="over_budget", reasons={"measured": text})
    flags = ("noisy",) if fake.name == "linear" and n == 1024 else ()
    return Record("cost", key, point, cost, _measured(key, seconds, cost), flags=flags)


def _cost(fake: Fake, n: int, pass_: Pass, causal: bool) -> Cost:
    times = 3 if pass_ == "train" else 1
    half = 0.5 if causal else 1.0
    dim, heads = 512, 8
    core = int(4 * dim * fake.executed(n)) * times
    projections = 8 * n * dim * dim * times
    saved = int(4 * n * dim * 5 + fake.saved * heads * fake.executed(n) + fake.extra * n * n) if times == 3 else None
    reasons_free = None if fake.edges is None else int(4 * dim * fake.edges(n) * half) * times
    certificate = Certificate(
        counted=(OpCount("aten.mm", 4 * times, projections), OpCount("aten.bmm", 2 * times, core)),
        backend="eager",
        tile=None if fake.impl != "gather" else "64 x 64",
    )
    return Cost(
        flops_executed=core + projections,
        flops_core_executed=core,
        flops_core_useful=reasons_free,
        exp_ops=int(heads * fake.executed(n)),
        saved_bytes=saved,
        peak_bytes=int(4 * n * dim * 6 + 2 * max(fake.saved, 0.2) * heads * fake.executed(n)),
        param_bytes=4 * dim * dim * 4,
        second_opinion={"fvcore": projections if fake.name == "flash" else core + projections},
        method="fake tensors",
        certificate=certificate,
    )


def _measured(key: str, seconds: float, cost: Cost) -> Measured:
    noise = random.Random(key)
    median = seconds * noise.uniform(0.97, 1.03)
    wall = Interval(median, median * 0.985, median * 1.02, ((median * 0.99,), (median,), (median * 1.01,)))
    return Measured(wall_s=wall, saved_bytes=cost.saved_bytes, peak_bytes=cost.peak_bytes, threads=2, method="clock")
