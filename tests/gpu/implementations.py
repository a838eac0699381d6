"""Step 4: for five patterns every way to compute them, for the linear recurrences ours and fla's, all in turns."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from attnprof.contracts import Spec, Target
from attnprof.counting import count
from attnprof.device import device_named
from attnprof.errors import Unsupported
from attnprof.interval import Interval
from attnprof.measure.calibrate import Calibration, calibrate
from attnprof.measure.gate import distance
from attnprof.measure.memory import peak
from attnprof.measure.passes import Passage, passage
from attnprof.records import Pass, plain
from attnprof.shapes import Shape
from attnprof.targets import door
from tests.gpu.kernels import KERNELS, Kernel, load, recurrence_flops
from tests.gpu.points import each, forget, shape
from tests.gpu.sheet import Sheet, why
from tests.gpu.ways import WAYS, Computed, Way, exact

PATTERNS = ("sliding_window", "longformer", "bigbird", "sparse_strided", "dense")
LENGTHS: Mapping[str, tuple[int, ...]] = {"forward": (4096, 16384, 65536), "train": (4096, 16384)}
DRY_LENGTH = 256
COMPARED = 4096  # up to here outputs are held to explicit products in float32
MASKED = 32768  # beyond, a mask of n * n is not made
ROUNDS, DRY_ROUNDS = 15, 2
PATTERN_SHARE, SHARE = 0.65, 0.95
MEASURED = ("off", "executed", "peak_bytes")
MASKLESS = ("gather", "flex (compiled)")


@dataclass(slots=True)
class Ready:
    """A way that runs: its module and its pass on the common inputs, with a row that is being filled."""

    module: nn.Module
    ready: Passage
    row: dict[str, Any]


def work(sheet: Sheet) -> None:
    """Patterns first, recurrences next, short lengths before long ones."""
    torch.manual_seed(0)
    dtype = "float32" if sheet.small else "bfloat16"
    peaks = calibrate(device_named(sheet.device), dtype)
    sheet.summary["peaks"] = plain(peaks)
    sheet.not_built["fla as an implementation"] = "attnprof has no adapter: fla's kernels are called here as they are"
    passes: Sequence[Pass] = ("forward",) if sheet.small else ("forward", "train")
    plan = [(n, pass_) for pass_ in passes for n in ((DRY_LENGTH,) if sheet.small else LENGTHS[pass_])]
    for (n, pass_), name in sheet.within(each(sorted(plan), PATTERNS), PATTERN_SHARE):
        target = door.find(name)
        compare(sheet, target, shape(sheet, target, n, level="core", dtype=dtype), pass_, peaks)
    for (n, pass_), kernel in sheet.within(each(sorted(plan), KERNELS), SHARE):
        recurrence(sheet, kernel, n, pass_, dtype, peaks)


def compare(sheet: Sheet, target: Target, about: Shape, pass_: Pass, peaks: Calibration) -> None:
    """Every way to compute one pattern: built, held to explicit products, timed in turns."""
    spec = Spec(about, target.resolve(about.n), target.pattern(about))
    streams = [x.to(sheet.device) for x in Computed(target, WAYS[0]).inputs(about)]
    wanted = exact(spec, streams) if about.n <= COMPARED else None
    found = [prepared(sheet, Computed(target, way), way, streams, about, pass_, wanted) for way in WAYS]
    useful = count(Computed(target, WAYS[0]), about, pass_).cost.flops_core_useful
    finish(sheet, [made for made in found if made is not None], about, pass_, useful, peaks)


def prepared(
    sheet: Sheet, target: Computed, way: Way, streams: list[Tensor], about: Shape, pass_: Pass, wanted: Tensor | None
) -> Ready | None:
    """One way, ready to run; None, with a row that says why, where it cannot."""
    row = head(target.scheme.name, way.name, about, pass_)
    try:
        refuse(sheet, way, target, about)
        module = target.build(about).to(sheet.device)
        row["off"] = None if wanted is None else off(module, streams, wanted)
        row["executed"] = executed(target, about, pass_) if way.counted else None
        return started(module, streams, pass_, sheet.device, row)
    except Exception as error:  # a back end that refuses is a result
        sheet.add(refused(row, reason(error)))
        return None


def refused(row: dict[str, Any], text: str) -> dict[str, Any]:
    """The row of a way that does not run."""
    return {name: value for name, value in row.items() if name not in MEASURED} | {"why": text}


def reason(error: Exception) -> str:
    """Why a way does not run."""
    return error.message if isinstance(error, Unsupported) else why(error)


def refuse(sheet: Sheet, way: Way, target: Computed, about: Shape) -> None:
    """Raise `Unsupported` for what this step leaves out, with the reason."""
    if about.n > MASKED and way.name not in MASKLESS and target.scheme.name != "dense":
        raise Unsupported(f"left out: its mask of n * n is not made beyond n = {MASKED}")
    if about.n > MASKED and way.name in ("eager", "masked", "gather") and target.scheme.name == "dense":
        raise Unsupported(f"left out: n * n scores are not kept beyond n = {MASKED}")
    if sheet.small and way.name == "flex (compiled)":
        raise Unsupported("left out of a dry run: compiling it takes a CPU many seconds")


def executed(target: Target, about: Shape, pass_: Pass) -> int | None:
    """FLOPs that a way is counted to execute; None where it cannot be counted."""
    try:
        return count(target, about, pass_).cost.flops_executed
    except Unsupported:
        return None


def off(module: nn.Module, streams: list[Tensor], wanted: Tensor) -> float:
    """The largest difference of the output from what is wanted, relative to the largest value of that."""
    with torch.no_grad():
        return distance(module(*streams), wanted)


def started(module: nn.Module, streams: list[Tensor], pass_: Pass, device: str, row: dict[str, Any]) -> Ready:
    """The pass, after the runs that warm it, with its peak in the row."""
    ready = passage(module, streams, pass_)
    row["peak_bytes"] = peak(ready, device_named(device)).peak_bytes
    return Ready(module, ready, row)


def head(scheme: str, way: str, about: Shape, pass_: str) -> dict[str, Any]:
    """What a row is about."""
    return {
        "kind": "implementation", "scheme": scheme, "way": way, "n": about.n, "pass": pass_, "dtype": about.dtype,
        "causal": about.causal,
    }  # fmt: skip


def recurrence(sheet: Sheet, kernel: Kernel, n: int, pass_: Pass, dtype: str, peaks: Calibration) -> None:
    """Our causal form of a recurrence and fla's kernel of it, in turns."""
    target = door.find(kernel.scheme)
    about = shape(sheet, target, n, causal=True, level="core", dtype=dtype)
    streams = [torch.randn(about.batch, about.heads, n, about.d).to(sheet.device) for _ in range(3)]
    streams = [x.to(getattr(torch, dtype)) for x in streams]
    found = [ours(sheet, target, streams, about, pass_), theirs(sheet, kernel, streams, about, pass_)]
    finish(sheet, [made for made in found if made is not None], about, pass_, recurrence_flops(about, pass_), peaks)


def ours(sheet: Sheet, target: Target, streams: list[Tensor], about: Shape, pass_: Pass) -> Ready | None:
    """The catalogue's own form, where its maths is written."""
    row = head(target.name, "ours", about, pass_)
    try:
        module = target.build(about).to(sheet.device)
        row["executed"] = executed(target, about, pass_)
        return started(module, streams, pass_, sheet.device, row)
    except Exception as error:
        text = reason(error)
        if isinstance(error, Unsupported):
            sheet.not_built[f"{target.name} as tensors"] = text
        sheet.add(refused(row, text))
        return None


def theirs(sheet: Sheet, kernel: Kernel, streams: list[Tensor], about: Shape, pass_: Pass) -> Ready | None:
    """fla's kernel, where it is installed and runs."""
    row = head(kernel.scheme, f"fla {kernel.function}", about, pass_) | {"executed": None}
    module, absent = load(kernel, sheet.device)
    if module is None:
        sheet.absent["fla-core"] = absent
        sheet.add(refused(row, absent))
        return None
    try:
        return started(module, streams, pass_, sheet.device, row)
    except Exception as error:
        sheet.add(refused(row, why(error)))
        return None


def finish(sheet: Sheet, found: list[Ready], about: Shape, pass_: str, useful: int | None, peaks: Calibration) -> None:
    """Time what runs in turns, and write the rows."""
    least = bound_s(about, pass_, useful, peaks)
    for made, times in zip(found, in_turns(found, sheet), strict=True):
        taken = Interval.of(times)
        done = made.row.pop("executed", None)
        share = done / taken.median / peaks.matmul_flops_per_s if done else None
        roof = {"useful_flops": useful, "bound_s": least, "roofline_share": least / taken.median if least else None}
        sheet.add({**made.row, "executed_flops": done, "matmul_share": share, **roof, **plain(taken)})
    forget(sheet)


def in_turns(found: list[Ready], sheet: Sheet) -> list[list[float]]:
    """Seconds of each, in rounds: in each round every one runs once, in random order, the cache cleared before."""
    device, draw = device_named(sheet.device), random.Random(0)
    clock, flush = device.clock(), device.flush()
    times: list[list[float]] = [[] for _ in found]
    for _ in range(DRY_ROUNDS if sheet.small else ROUNDS):
        for at in draw.sample(range(len(found)), len(found)):
            found[at].ready.before()
            if flush is not None:
                flush()
            times[at].append(sum(clock.laps(found[at].ready.steps)))
            found[at].ready.after()
    return times


def bound_s(about: Shape, pass_: str, useful: int | None, peaks: Calibration) -> float | None:
    """The scheme's own roofline: its useful work at the matmul peak, or its streams at the copy peak, the longer."""
    if useful is None:
        return None
    element = 2 if about.dtype in ("bfloat16", "float16") else 4
    stream = about.batch * about.n * about.dim * element
    moved = 4 * stream if pass_ == "forward" else (4 + 4 + 4) * stream  # q k v out; again, grad_out for out, grads
    return max(useful / peaks.matmul_flops_per_s, moved / peaks.copy_bytes_per_s)
