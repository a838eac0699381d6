"""Runs the steps in order, each in a process of its own within its limit, and gathers what they leave."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.gpu import fitness
from tests.gpu.archive import MOST_BYTES, pack
from tests.gpu.limited import Ended, run_limited
from tests.gpu.sheet import rows_of, said_in
from tests.gpu.step import DONE, FAILED, PARTIAL, TIMEOUT, UNFIT, Step
from tests.gpu.tables import tables
from tests.gpu.wheels import Unpacked, unpack

ROOT = Path(__file__).resolve().parents[2]
SUMMARY, TABLES, ARCHIVE, RESULT, LOG = "summary.json", "tables.md", "attnprof-gpu.tar.gz", "result.json", "log.txt"
GRACE_S = 5.0
OK, SOME_FAILED, NOT_FIT = 0, 3, 5


@dataclass(frozen=True)
class Hour:
    """What is asked for: the steps, the device, where results go, a folder of wheels or None."""

    steps: Sequence[Step]
    device: str
    out: Path
    wheels: Path | None = None
    most_bytes: int = MOST_BYTES


def drive(hour: Hour) -> int:
    """Do the steps; the exit code is 0, 3 where one failed or was ended, 5 where there is no such device."""
    hour.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="attnprof-wheels-") as folder:
        unpacked = unpack(hour.wheels, Path(folder)) if hour.wheels else None
        env = surroundings(unpacked)
        found = fitness.ask(hour.device, env, ROOT)
        if found["unfit"]:
            print(f"unfit: {found['unfit']}; try DEVICE=cpu for a dry run", file=sys.stderr)
        results = [one(step, hour, env, found["unfit"]) for step in hour.steps]
    conclude(hour, results, found, unpacked)
    if found["unfit"]:
        return NOT_FIT
    return SOME_FAILED if any(result["status"] in (FAILED, TIMEOUT) for result in results) else OK


def surroundings(unpacked: Unpacked | None) -> dict[str, str]:
    """The environment of every step: the checkout on the path, and the wheels behind it."""
    path = [str(ROOT)] + ([str(unpacked.folder)] if unpacked else [])
    given = [part for part in os.environ.get("PYTHONPATH", "").split(os.pathsep) if part and part not in path]
    return {**os.environ, "PYTHONPATH": os.pathsep.join([*path, *given]), "PYTHONUNBUFFERED": "1"}


def one(step: Step, hour: Hour, env: Mapping[str, str], unfit: str) -> dict[str, Any]:
    """Do one step and write its result; whatever happens to it, it has one."""
    folder = step.folder(hour.out)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    limit_s = step.seconds(hour.device)
    if unfit:
        result = {"status": UNFIT, "why": unfit, "wall_s": 0.0, "rows": 0}
    else:
        print(f"{step.name}: {step.shows} (at most {limit_s:.0f} s)", flush=True)
        command = [sys.executable, "-m", "tests.gpu", "--out", str(hour.out.resolve()), "--device", hour.device]
        command += ["--work", step.module, "--folder", str(folder.resolve()), "--limit", str(limit_s)]
        ended = run_limited(command, folder / LOG, limit_s + GRACE_S, env=env, cwd=ROOT)
        result = judged(folder, ended, limit_s)
    result = {"step": step.name, "shows": step.shows, "device": hour.device, "limit_s": limit_s, **result}
    (folder / RESULT).write_text(json.dumps(result, indent=1), encoding="utf-8")
    print(f"{step.name}: {result['status']}{': ' + result['why'] if result['why'] else ''}", flush=True)
    return result


def judged(folder: Path, ended: Ended, limit_s: float) -> dict[str, Any]:
    """The result of a step that has run, from what it left and how it ended."""
    said = said_in(folder)
    status, reason = DONE, ""
    if ended.timed_out:
        status, reason = TIMEOUT, f"ended at its limit of {limit_s:.0f} s; the rows that it had written are kept"
    elif ended.code != 0 or said.get("failed"):
        status, reason = FAILED, said.get("failed") or f"exit code {ended.code}: {last_line(folder / LOG)}"
    elif said.get("left_out"):
        status, reason = PARTIAL, f"{said['left_out']} points are left out: its time was over"
    kept = {name: said[name] for name in ("summary", "not_built", "absent") if said.get(name)}
    return {"status": status, "why": reason, "wall_s": ended.wall_s, "rows": len(rows_of(folder)), **kept}


def last_line(log: Path) -> str:
    """The last line of a log that says something."""
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1][:300] if lines else "its log is empty"


def conclude(hour: Hour, results: Sequence[dict[str, Any]], found: Mapping[str, Any], wheels: Unpacked | None) -> None:
    """Write the summary, the tables and the archive."""
    results = [*results, *earlier(hour, {result["step"] for result in results})]
    summary = {
        "device": hour.device,
        "unfit": found["unfit"],
        "environment": found["environment"],
        "packages": found["packages"],
        "wheels": wheels.wheels if wheels else {},
        "steps": sorted(results, key=lambda result: result["step"]),
    }
    (hour.out / TABLES).write_text(tables(hour.out, summary), encoding="utf-8")
    (hour.out / SUMMARY).write_text(json.dumps(summary, indent=1), encoding="utf-8")
    packed = pack(hour.out, hour.out / ARCHIVE, hour.most_bytes)
    summary["archive"] = packed.to_json()
    (hour.out / SUMMARY).write_text(json.dumps(summary, indent=1), encoding="utf-8")
    print(f"{hour.out / ARCHIVE}: {packed.size_bytes} bytes", *packed.notes, sep="\n", flush=True)


def earlier(hour: Hour, done: set[str]) -> list[dict[str, Any]]:
    """Results of steps that an earlier call left in the same folder: a machine may give ten minutes at a time."""
    files = [file for file in hour.out.glob(f"*/{RESULT}") if file.parent.name not in done]
    return [json.loads(file.read_text(encoding="utf-8")) for file in files]
