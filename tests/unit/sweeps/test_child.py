"""A child's answers, in this process; and the parent's end of a real one."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import psutil
import pytest

from attnprof.errors import out_of_memory
from attnprof.locate import PACKAGE
from attnprof.records import Cost, Measured, Point, revive
from attnprof.shapes import Shape
from attnprof.sweeps.child import Child, redirect
from attnprof.sweeps.points import TargetPoints
from attnprof.sweeps.worker import Died, Worker
from attnprof.targets.usage import Usage

POINT = Point("sliding_window", Shape(n=96, dim=16, heads=2), "train", impl="gather").to_json()


def opened(target: str = "sliding_window", **params: Any) -> Child:
    """A child with its target found."""
    child = Child()
    answer = child.answer({"do": "open", "target": target, "params": params, "impl": None, "usage": Usage().to_json()})
    assert answer["ok"], answer
    return child


def test_a_child_counts_gates_and_measures() -> None:
    child = opened(window=16)
    counted = child.answer({"do": "count", "point": POINT})
    cost = revive(Cost, counted["cost"])
    assert cost.flops_executed
    assert cost.certificate
    assert cost.certificate.uncounted == ()
    assert child.answer({"do": "gate", "point": POINT})["reasons"] == {}
    measured = child.answer({"do": "measure", "point": POINT, "budget_s": 0.1})
    assert revive(Measured, measured["measured"]).wall_s
    assert measured["measured"]["peak_bytes"] > 0


def test_the_gate_is_full_once_and_then_at_each_length() -> None:
    child = opened(window=16)
    assert child.answer({"do": "gate", "point": POINT})["reasons"] == {}
    assert child.gated
    longer = {**POINT, "n": 200, "m": 200}
    assert child.answer({"do": "gate", "point": longer})["reasons"] == {}


def test_what_a_scheme_does_not_define_is_unsupported() -> None:
    child = opened("linformer")
    answer = child.answer({"do": "count", "point": {**POINT, "target": "linformer", "causal": True}})
    assert (answer["ok"], answer["kind"]) == (False, "unsupported")
    assert "causal" in answer["message"]


def test_an_unknown_target_is_an_unusable_input() -> None:
    answer = Child().answer(
        {"do": "open", "target": "longformr", "params": {}, "impl": None, "usage": Usage().to_json()}
    )
    assert (answer["ok"], answer["kind"]) == (False, "input")
    assert "longformer" in answer["hint"]


def test_a_module_that_breaks_is_a_failure_with_its_message(tmp_path: Path) -> None:
    own = tmp_path / "mine.py"
    own.write_text(
        "import torch\nclass Broken(torch.nn.Module):\n    def forward(self, x):\n        raise ValueError('no luck')\n"
    )
    child = opened(f"{own}:Broken")
    answer = child.answer({"do": "measure", "point": POINT, "budget_s": 0.1})
    assert answer["kind"] == "failed"
    assert "mine.py:Broken fails, line 4: ValueError: no luck" in answer["message"]
    assert "called as forward(x=[1, 96, 16])" in answer["message"]


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), True),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate"), True),
        (MemoryError(), True),
        (RuntimeError("shapes differ"), False),
    ],
)
def test_out_of_memory_is_told_from_other_errors(error: Exception, expected: bool) -> None:
    assert out_of_memory(error) is expected


def echo(pipe: Connection, log: str) -> None:
    """A child that repeats what it is asked, or ends as it is told."""
    redirect(log)
    with contextlib.suppress(EOFError):
        while True:
            asked = json.loads(pipe.recv_bytes())["do"]
            if asked == "die":
                sys.exit(7)
            if asked == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            if asked == "hang":
                time.sleep(60)
            print("noise", flush=True)
            pipe.send_bytes(json.dumps({"ok": asked != "refuse", "did": asked}).encode())


def refuse(pipe: Connection, log: str) -> None:
    """A child that cannot find its target."""
    pipe.recv_bytes()
    pipe.send_bytes(b'{"ok": false, "kind": "input", "message": "no", "hint": ""}')
    pipe.recv_bytes()


def worker(serve: Any, tmp_path: Path) -> Worker:
    """A worker with a child that is not attnprof's."""
    return Worker({"do": "open"} if serve is refuse else None, tmp_path / "log", serve)


def test_a_worker_asks_and_is_answered(tmp_path: Path) -> None:
    asked = worker(echo, tmp_path)
    assert asked.ask({"do": "x"}, 60)["did"] == "x"
    assert asked.ask({"do": "y"}, 60)["did"] == "y"
    asked.close()
    assert "noise" in (tmp_path / "log").read_text()


@pytest.mark.parametrize(
    ("request_", "message", "killer", "timed_out"),
    [("die", "exit code 7", None, False), ("kill", "SIGKILL", 9, False), ("hang", "no answer", None, True)],
)
def test_a_dead_child_is_told_and_the_next_question_starts_another(
    tmp_path: Path, request_: str, message: str, killer: int | None, timed_out: bool
) -> None:
    asked = worker(echo, tmp_path)
    assert asked.ask({"do": "x"}, 60)["did"] == "x"
    started = time.monotonic()
    with pytest.raises(Died, match=message) as death:
        asked.ask({"do": request_}, 1.0 if timed_out else 30.0)
    assert time.monotonic() - started < 30
    assert (death.value.signal, death.value.timed_out) == (killer, timed_out)
    assert asked.ask({"do": "again"}, 60)["did"] == "again"
    asked.close()


def test_a_child_that_cannot_open_its_target_says_so(tmp_path: Path) -> None:
    refused = worker(refuse, tmp_path)
    assert refused.ask({"do": "count"}, 60)["message"] == "no"
    refused.close()


def test_a_dead_server_is_replaced_and_costs_nothing(tmp_path: Path) -> None:
    first, other = worker(echo, tmp_path), worker(echo, tmp_path)
    assert first.ask({"do": "x"}, 60)["did"] == "x"
    for _ in range(2):
        server = psutil.Process(first._process.pid).parent()
        assert server is not None
        assert server.pid != os.getpid()
        server.kill()
        assert first.ask({"do": "y"}, 60)["did"] == "y"
        assert other.ask({"do": "z"}, 60)["did"] == "z"
    first.close()
    other.close()


def test_children_die_with_their_parent(tmp_path: Path) -> None:
    """The parent is killed while its child is deep in code that is not ours."""
    opening = {"do": "open", "params": {}, "impl": None, "usage": Usage().to_json()}
    code = (
        "import sys\nfrom pathlib import Path\nfrom attnprof.sweeps.worker import Worker\n"
        "if __name__ == '__main__':\n"
        f"    worker = Worker({opening!r} | {{'target': sys.argv[1]}}, Path(sys.argv[2]))\n"
        "    worker.ask({'do': 'count'}, 100)\n"
    )
    own, log = tmp_path / "mine.py", tmp_path / "log"
    own.write_text("import os, time\nprint(os.getpid(), flush=True)\ntime.sleep(600)\nclass Mine: pass\n")
    script = tmp_path / "parent.py"
    script.write_text(code)
    path = os.pathsep.join([str(PACKAGE.parent), os.environ.get("PYTHONPATH", "")])
    parent = subprocess.Popen(
        [sys.executable, str(script), f"{own}:Mine", str(log)], env={**os.environ, "PYTHONPATH": path}
    )
    child = int(until(lambda: log.read_text().strip() if log.exists() else ""))
    parent.kill()
    parent.wait()
    assert until(lambda: not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE)


def until(found: Callable[[], Any], within_s: float = 60.0) -> Any:
    """What is found as soon as it is something."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if answer := found():
            return answer
        time.sleep(0.05)
    raise AssertionError("it did not happen")


def test_a_real_child_answers_and_leaves_nothing_behind(tmp_path: Path) -> None:
    job = TargetPoints("sliding_window", {"window": 16}, None, Usage(), ())
    asked = Worker(job.opening(), tmp_path / "log")
    answer = asked.ask({"do": "count", "point": POINT}, 120)
    assert answer["ok"], answer
    process = asked._process
    asked.close()
    assert not process.is_alive()
