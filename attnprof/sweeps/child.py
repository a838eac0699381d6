"""The child process of a target: builds it and answers one request after the other.

A request is one JSON object, an answer another; what a scheme prints goes to a log. The parent is the only writer of
records, so an out-of-memory kill or an illegal access here loses one answer and nothing else.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection

from attnprof.contracts import Target
from attnprof.device import device_named
from attnprof.errors import AttnprofError, Failed, Unsupported, out_of_memory
from attnprof.measure.point import FLOOR
from attnprof.records import JsonObject, Point, plain
from attnprof.sweeps.lifeline import die_with_asker
from attnprof.targets import door
from attnprof.targets.usage import Usage

Answer = dict[str, object]


class Child:
    """The state of a child: its target, and the device that it measures on."""

    def __init__(self) -> None:
        self.target: Target | None = None
        self.gated: set[tuple[object, ...]] = set()

    def open(self, request: JsonObject) -> Answer:
        """Find the target; the answer describes it."""
        self.target = door.find(
            request["target"],
            params=request["params"],
            impl=request["impl"],
            usage=Usage.from_json(request["usage"]),
            name=request.get("name"),
        )
        return {"name": self.target.name}

    def count(self, request: JsonObject) -> Answer:
        """The static cost of a point."""
        from attnprof.counting import count

        point = Point.from_json(request["point"])
        counted = count(self.found, point.shape, point.pass_, second_opinion=True)
        return {"cost": plain(counted.cost), "reasons": dict(counted.reasons), "flags": list(counted.flags)}

    def graph(self, request: JsonObject) -> Answer:
        """The graph record of the target, at a length at which that answers at once; None where it has no pattern."""
        from attnprof.sweeps.graphs import graph_of

        found = graph_of(self.found, Point.from_json(request["point"]), request["longest"])
        return {"record": None if found is None else found.to_json()}

    def gate(self, request: JsonObject) -> Answer:
        """Whether the target computes what its reference does: in full once a form and pass, then at each length.

        `passed`: another child has seen the whole of it already.
        """
        from attnprof.measure.gate import at_length, check

        point = Point.from_json(request["point"])
        shape, device = point.shape, point.device
        form = (shape.level, shape.causal, shape.dtype, shape.groups, device)
        whole, there = (*form, point.pass_), (*form, shape.n)
        where = device_named(device).where
        reasons: Mapping[str, str] = {}
        if whole not in self.gated and not request.get("passed"):
            reasons = check(self.found, shape, point.pass_, where)
        elif there not in self.gated:
            reasons = at_length(self.found, shape, where)
        self.gated |= {whole, there}  # not before: a gate that raised has passed nothing
        return {"reasons": reasons}

    def free(self, request: JsonObject) -> Answer:
        """Bytes that are free on the device."""
        return {"bytes": device_named(request["device"]).free_bytes()}

    def surroundings(self, request: JsonObject) -> Answer:
        """The machine and the measured peaks of the device, for the run's header."""
        from attnprof.measure.calibrate import calibrate
        from attnprof.measure.environment import environment

        device = device_named(request["device"])
        peaks = plain(calibrate(device)) if request["calibrate"] else None
        return {"environment": environment(device), "calibration": peaks}

    def measure(self, request: JsonObject) -> Answer:
        """What the device spends on a point."""
        from attnprof.measure import measure_target

        point = Point.from_json(request["point"])
        device = device_named(point.device)
        measured, reasons, flags = measure_target(
            self.found,
            point.shape,
            point.pass_,
            device,
            budget_s=request["budget_s"],
            memory=request.get("memory", True),
            floor=request.get("floor", FLOOR),
        )
        return {"measured": plain(measured), "reasons": dict(reasons), "flags": list(flags)}

    def plan(self, request: JsonObject) -> Answer:
        """The jobs of a sweep over code that is not ours, which the parent never imports."""
        from attnprof.sweeps.points import SweepRequest, plan

        return {"jobs": [job.to_json() for job in plan(SweepRequest.from_json(request["ask"]), request["explicit"])]}

    @property
    def found(self) -> Target:
        """The target, once it is open."""
        assert self.target is not None, "the first request opens the target"
        return self.target

    def answer(self, request: JsonObject) -> Answer:
        """The answer to any request; an exception becomes one too, of a named kind."""
        does: dict[str, Callable[[JsonObject], Answer]] = {
            "open": self.open,
            "count": self.count,
            "gate": self.gate,
            "graph": self.graph,
            "plan": self.plan,
            "measure": self.measure,
            "free": self.free,
            "surroundings": self.surroundings,
        }
        began = time.monotonic()
        try:
            answer = does[request["do"]](request)
            return {"ok": True, **answer, "took_s": time.monotonic() - began}
        except Unsupported as error:
            return failure("unsupported", error.message, error.hint)
        except Failed as error:
            lacks = isinstance(error.__cause__, NotImplementedError)  # a kernel that has no such pass on this device
            return failure("unsupported" if lacks else "failed", f"{error.message} ({error.hint})")
        except AttnprofError as error:
            return failure("input", error.message, error.hint)
        except NotImplementedError as error:
            return failure("unsupported", str(error), "another --device, or --pass forward")
        except (Exception, SystemExit) as error:
            return failure("oom" if out_of_memory(error) else "failed", f"{type(error).__name__}: {error}")


def failure(kind: str, message: str, hint: str = "") -> Answer:
    """The answer that stands for an exception: `unsupported`, `input`, `oom` or `failed`."""
    return {
        "ok": False,
        "kind": kind,
        "message": message.strip().splitlines()[0] if message.strip() else kind,
        "hint": hint,
    }


def serve(pipe: Connection, log: str) -> None:
    """Answer requests until the parent's end closes. An interrupt is the parent's to handle."""
    die_with_asker(pipe)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    redirect(log)
    child = Child()
    with contextlib.suppress(EOFError, ConnectionError):
        while True:
            pipe.send_bytes(json.dumps(child.answer(json.loads(pipe.recv_bytes()))).encode())


def redirect(log: str) -> None:
    """What this process prints goes to the end of a file."""
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    os.close(handle)
