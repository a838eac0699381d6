"""Every entry beside fused dense attention: how many times fewer FLOPs it executes, and how many times faster it is.

`python -m tests.bench.dense_table [--lengths 1k,2k,4k,8k] [--passes forward,train] [--rounds 3] [--least 2] [NAME ...]`
Timed, in turns with `flash` of the same causality on one thread, in CPU seconds, is what executes at least `--least`
times fewer FLOPs at level `attention`; those that are slower all the same end in `slower`.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from attnprof.contracts import Target
from attnprof.counting import count
from attnprof.errors import AttnprofError
from attnprof.shapes import Shape
from attnprof.targets import catalog, door
from attnprof.units import parse_length
from attnprof.words import Pass
from tests.bench.ratios import Run, passes, ratios

TOGETHER = 4  # so many take turns with one run of the baseline


@dataclass(frozen=True)
class Point:
    """An entry at a shape, and how many times more FLOPs the baseline executes there."""

    target: Target
    shape: Shape
    pass_: Pass
    fewer: float

    def run(self) -> Run:
        return passes(self.target.build(self.shape).eval(), self.target.inputs(self.shape), self.pass_)


def flops(target: Target, shape: Shape, pass_: Pass) -> int:
    found = count(target, shape, pass_).cost.flops_executed
    assert found is not None
    return found


def points(names: Sequence[str], n: int, causal: bool, pass_: Pass) -> Iterator[Point]:
    """What these entries execute at a length, of those that have a form of this causality and run in this pass."""
    shape = Shape(n, causal=causal)
    dense = flops(door.find("flash"), shape, pass_)
    for name in names:
        target = door.find(name)
        if causal != target.card.native_causal:
            continue
        try:
            yield Point(target, shape, pass_, dense / flops(target, shape, pass_))
        except AttnprofError as error:
            print(name, n, pass_, error.message, sep="\t", flush=True)


def faster(some: Sequence[Point], rounds: int) -> list[float]:
    """How many times as long the baseline takes as each of some points of one shape and pass."""
    first = some[0]
    torch.manual_seed(0)
    dense = Point(door.find("flash"), first.shape, first.pass_, 1.0)
    return ratios(dense.run(), [point.run() for point in some], rounds, time.process_time)


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("names", nargs="*", metavar="NAME")
    asked.add_argument("--lengths", default="1k,2k,4k,8k")
    asked.add_argument("--passes", default="forward,train")
    asked.add_argument("--rounds", type=int, default=3)
    asked.add_argument("--least", type=float, default=2.0)
    given = asked.parse_args()
    torch.set_num_threads(1)
    names = given.names or [name for name in catalog.distinct_schemes() if name != "flash"]
    print("entry", "n", "causal", "pass", "fewer FLOPs", "faster", "", sep="\t")
    for n in map(parse_length, given.lengths.split(",")):
        for pass_ in map(Pass, given.passes.split(",")):
            for causal in (False, True):
                found = [point for point in points(names, n, causal, pass_) if point.fewer >= given.least]
                for some in (found[at : at + TOGETHER] for at in range(0, len(found), TOGETHER)):
                    for point, times in zip(some, faster(some, given.rounds), strict=True):
                        row = (point.target.name, n, causal, pass_, f"{point.fewer:.2f}", f"{times:.2f}")
                        print(*row, "slower" if times < 1 else "", sep="\t", flush=True)


if __name__ == "__main__":
    main()
