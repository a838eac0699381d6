"""Step 5: what a token reads and keeps, against the time that it takes."""

from __future__ import annotations

import torch

from attnprof.contracts import Target
from attnprof.counting import count
from attnprof.device import device_named
from attnprof.errors import Unsupported
from attnprof.measure.calibrate import Calibration, calibrate
from attnprof.measure.passes import passage
from attnprof.measure.sampling import sample
from attnprof.records import plain
from tests.gpu.points import each, executable, forget, shape
from tests.gpu.sheet import Sheet, why

LENGTHS, DRY_LENGTHS = (4096, 16384, 65536, 262144), (64,)
BUDGET_S, DRY_BUDGET_S = 0.3, 0.02


def work(sheet: Sheet) -> None:
    """Every entry that decodes token by token, from short to long."""
    torch.manual_seed(0)
    dtype = "float32" if sheet.small else "bfloat16"
    peaks = calibrate(device_named(sheet.device), dtype)
    sheet.summary["peaks"] = plain(peaks)
    decoding = [target for target in executable(sheet) if decodes(sheet, target)]
    sheet.summary["decoding"] = [target.name for target in decoding]
    for n, target in sheet.within(each(DRY_LENGTHS if sheet.small else LENGTHS, decoding)):
        head = {"kind": "decode", "target": target.name, "n": n, "dtype": dtype}
        try:
            sheet.add(head | token(sheet, target, n, dtype, peaks))
        except Exception as error:
            sheet.add(head | {"why": why(error)})
        forget(sheet)


def decodes(sheet: Sheet, target: Target) -> bool:
    """Whether it has a step of one token; asked at a short length."""
    if True not in target.card.causality:
        return False
    try:
        count(target, shape(sheet, target, DRY_LENGTHS[0], causal=True), "decode")
    except Unsupported:
        return False
    return True


def token(sheet: Sheet, target: Target, n: int, dtype: str, peaks: Calibration) -> dict[str, object]:
    """One token against a state of n: what is predicted, what is held, how long it takes, and its least time."""
    about = shape(sheet, target, n, causal=True, dtype=dtype)
    cost = count(target, about, "decode").cost
    module, inputs = target.build(about).to(sheet.device), [x.to(sheet.device) for x in target.inputs(about)]
    ready = passage(module, inputs, "decode")
    held = None if sheet.small else held_bytes(module, n)
    budget_s = DRY_BUDGET_S if sheet.small else BUDGET_S
    device = device_named(sheet.device)
    flush = device.flush()

    def fresh() -> None:
        ready.before()
        if flush is not None:
            flush()

    taken = sample(ready.steps, device.clock(), budget_s=budget_s, before=fresh, warmed=True).total()
    ready.after()
    weights = cost.param_bytes or 0
    read = None if cost.decode_read_bytes is None else cost.decode_read_bytes + weights
    return {
        "state_bytes": cost.state_bytes,
        "held_bytes": held,
        "state_growth_bytes": cost.state_growth_bytes,
        "decode_read_bytes": cost.decode_read_bytes,
        "param_bytes": weights,
        "least_s": None if read is None else read / peaks.copy_bytes_per_s,
        **plain(taken),
    }


def held_bytes(module: torch.nn.Module, n: int) -> int:
    """What CUDA's allocator hands out for a state of n tokens."""
    make: object = module.state
    assert callable(make)
    torch.cuda.synchronize()
    before = torch.cuda.memory_stats()["allocated_bytes.all.current"]
    with torch.device("cuda"):
        state = make(n)
    held = torch.cuda.memory_stats()["allocated_bytes.all.current"] - before
    del state
    return held
