"""What a sweep finds around it: the machine as a child sees it, its own command, a run that another one began."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING

from attnprof.errors import AttnprofError
from attnprof.records import JsonDict, JsonObject, plain
from attnprof.words import DeviceName

if TYPE_CHECKING:
    from attnprof.store import RunFolder
    from attnprof.sweeps.points import SweepRequest

SURROUNDINGS_S = 120.0


def yardstick(device: DeviceName) -> JsonDict | None:
    """The device's peaks now, as a child of its own measures them; None where it cannot."""
    answer = surrounding(device, calibrate=True)
    return answer.get("calibration") if answer["ok"] else None


def refuse_another(run: RunFolder, ask: SweepRequest, environment: JsonObject) -> None:
    """Raise `AttnprofError` where the run was begun in another environment, or is of another kind of points."""
    from attnprof.store import machine_of

    apart = f"a new folder: {shlex.join(['attnprof', *arguments(), '--fresh'])}"
    held = run.header.get("plan") or {}
    fixed = [name for name in ("shape", "device", "tokens", "preset") if name in held]
    wanted = plain(ask.to_json())
    other = [name for name in fixed if fixed_part(held[name]) != fixed_part(wanted[name])]
    if other:
        raise AttnprofError(f"{run.path} holds another sweep: it differs in {', '.join(other)}", hint=apart)
    then, now = machine_of(run.header), machine_of({"environment": environment})
    differing = [name for name in sorted(then | now) if then.get(name) != now.get(name)]
    if differing and then:
        what = "; ".join(f"{name} {then.get(name)} then, {now.get(name)} now" for name in differing)
        raise AttnprofError(f"{run.path} was begun in another environment: {what}", hint=apart)


def fixed_part(part: object) -> object:
    """A part of a plan without what may grow: the length of its shape."""
    return {k: v for k, v in part.items() if k != "n"} if isinstance(part, dict) else part


def surrounding(device: DeviceName, *, calibrate: bool) -> JsonDict:
    """The machine and its measured peaks, as a child sees them: the parent never loads torch."""
    from attnprof.sweeps.worker import Died, Worker

    static = device is DeviceName.NONE
    request = {
        "do": "surroundings",
        "device": DeviceName.CPU if static else device,
        "calibrate": calibrate and not static,
    }
    worker = Worker(None)
    try:
        return worker.ask(request, timeout_s=SURROUNDINGS_S)
    except Died as death:
        return {"ok": False, "message": f"the device {device} cannot be asked: {death}", "hint": "attnprof doctor"}
    finally:
        worker.close()


def arguments() -> list[str]:
    """The command line as it was given, to `attnprof`."""
    return sys.argv[1:]
