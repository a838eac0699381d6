"""Step 2: predicted bytes against the allocator, medians against other timers, and no time below its floor."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Any

import torch

from attnprof.contracts import Target
from attnprof.counting import count
from attnprof.device import device_named
from attnprof.errors import Unsupported
from attnprof.measure.calibrate import Calibration, calibrate
from attnprof.measure.passes import passage
from attnprof.plan.roofline import Roofline, must_move
from attnprof.plan.waterfall import waterfall
from attnprof.records import Cost, Pass, plain
from attnprof.shapes import Shape
from tests.gpu import timers
from tests.gpu.allocator import off, spent
from tests.gpu.points import each, executable, forget, shape
from tests.gpu.sheet import Sheet, why

LENGTHS, DTYPES, PASSES = (4096, 16384), ("bfloat16", "float32"), ("forward", "train")
TIMED = (4096, 16384, 65536)
DRY_LENGTH = 64
MEMORY_SHARE, TRITON_SHARE, TIME_SHARE = 0.55, 0.8, 0.95
SAFE = 0.5  # of free memory: the rest is what a wrong prediction may take


def work(sheet: Sheet) -> None:
    """Bytes of every entry first, times next; the lengths from short to long."""
    torch.manual_seed(0)
    bytes_of_all(sheet)
    times_of_all(sheet)


def bytes_of_all(sheet: Sheet) -> None:
    """Every entry at every length, in both precisions and passes."""
    axes = ((DRY_LENGTH,), ("float32",)) if sheet.small else (LENGTHS, DTYPES)
    for n, dtype, target, pass_ in sheet.within(each(*axes, executable(sheet), PASSES), MEMORY_SHARE):
        about = shape(sheet, target, n, dtype=dtype)
        sheet.add(point("bytes", target, about, pass_) | tried(bytes_row, target, about, pass_, sheet.device))
        forget(sheet)


def times_of_all(sheet: Sheet) -> None:
    """The forward of every entry. A graph that cannot be captured may spoil the process, so graphs come last."""
    dtype = "float32" if sheet.small else "bfloat16"
    peaks = calibrate(device_named(sheet.device), dtype)
    sheet.summary["peaks"] = plain(peaks)
    entries = executable(sheet)
    lengths = (DRY_LENGTH,) if sheet.small else TIMED
    shares = (TRITON_SHARE, TIME_SHARE)
    for (timer, seconds), share in zip(timers.ON_HOST if sheet.small else timers.ON_DEVICE, shares, strict=False):
        for n, target in sheet.within(each(lengths, entries), share):
            about = shape(sheet, target, n, dtype=dtype)
            found = tried(time_row, target, about, sheet.device, peaks, seconds)
            sheet.add(point("time", target, about, "forward") | {"timer": timer} | found)
            forget(sheet)
            if not sheet.small and "why" in found and not usable():
                sheet.summary["stopped"] = f"after {target.name}, n = {n}, by {timer}, the device takes no more work"
                return


def point(kind: str, target: Target, about: Shape, pass_: str) -> dict[str, Any]:
    """What a row is about."""
    where = {"n": about.n, "dtype": about.dtype, "pass": pass_, "causal": about.causal}
    return {"kind": kind, "target": target.name, "impl": target.impl, **where}


def tried(make: Callable[..., dict[str, Any]], *given: Any) -> dict[str, Any]:
    """A row, or why there is none; one point never costs another."""
    try:
        return make(*given)
    except Unsupported as error:
        return {"why": f"unsupported: {error.message}"}
    except Exception as error:
        return {"why": why(error)}


def bytes_row(target: Target, about: Shape, pass_: Pass, device: str) -> dict[str, Any]:
    """Predicted and real bytes of one pass, and their relative difference."""
    cost = count(target, about, pass_).cost
    refuse_what_does_not_fit(cost, device)
    module, inputs = target.build(about).to(device), [x.to(device) for x in target.inputs(about)]
    found = spent(module, inputs, pass_, device)
    assert cost.peak_bytes is not None
    assert cost.saved_bytes is not None
    trained = pass_ == "train"
    return {
        "backend": cost.certificate.backend if cost.certificate else None,
        "predicted_peak_bytes": cost.peak_bytes,
        "peak_bytes": found.peak_bytes,
        "peak_off": off(cost.peak_bytes, found.peak_bytes),
        "predicted_saved_bytes": cost.saved_bytes if trained else None,
        "left_bytes": found.left_bytes,
        "output_bytes": found.output_bytes,
        "saved_off": found.saved_off(cost.saved_bytes) if trained else None,
        "method": found.method,
    }


def refuse_what_does_not_fit(cost: Cost, device: str) -> None:
    """Raise `Unsupported` for a point that is predicted to take more than half of what is free."""
    need, free = (cost.peak_bytes or 0) + (cost.buffer_bytes or 0), device_named(device).free_bytes()
    if need > SAFE * free:
        raise Unsupported(f"predicted to need {need} bytes of {free} that are free")


def time_row(
    target: Target, about: Shape, device: str, peaks: Calibration, seconds: Callable[[timers.Run], float]
) -> dict[str, Any]:
    """A median of attnprof's and of another timer, taken in turns, and the least time that a pass can take."""
    cost = count(target, about, "forward").cost
    refuse_what_does_not_fit(cost, device)
    module, inputs = target.build(about).to(device), [x.to(device) for x in target.inputs(about)]
    ready = passage(module, inputs, "forward")
    (run,) = ready.steps
    before = timers.ours(run, device)
    theirs = seconds(run)
    ours = statistics.median(before + timers.ours(run, device))
    least = floor_s(target, about, cost, peaks)
    return {
        "ours_s": ours,
        "theirs_s": theirs,
        "time_off": ours / theirs - 1,
        "floor_s": least,
        "below_floor": None if least is None else ours < least,
    }


def floor_s(target: Target, about: Shape, cost: Cost, peaks: Calibration) -> float | None:
    """The least time of a forward by the peaks measured here; None where its FLOPs are not known."""
    if cost.flops_executed is None or cost.moved_bytes is None:
        return None
    least = must_move("forward", plain(waterfall(target, about, "forward")))
    roof = (peaks.matmul_flops_per_s, peaks.copy_bytes_per_s)
    return Roofline("here", cost.flops_executed, cost.moved_bytes, least, *roof).bound_s


def usable() -> bool:
    """Whether the device still works after something failed on it."""
    try:
        torch.randn(1, device="cuda").sum().item()
        torch.cuda.synchronize()
    except RuntimeError:
        return False
    return True
