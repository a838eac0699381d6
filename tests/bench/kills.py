"""Sweeps whose parent, children and server are killed at random moments: nothing is lost, and nothing is there twice.

    python -m tests.bench.kills 200

One sweep is started again and again over the same folder until so many kills have been dealt; then it is let finish,
and its points are held against those of a sweep that nobody disturbed.
"""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from attnprof.records import Record
from attnprof.store import RunFolder
from tests.cli.console import ENV, command

ASK = ("sweep", "dense", "linear", "sliding_window", "--lengths", "32-128", "--dim", "16", "--heads", "2")
LIMITS = ("--time-budget", "0.05", "--rounds", "2", "--no-page", "--timeout", "60s")


def started(out: Path) -> subprocess.Popen[bytes]:
    """The sweep on its way."""
    ask = command(*ASK, *LIMITS, "--out", out)
    return subprocess.Popen(ask, env=ENV, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def victims(parent: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """The parent, its fork server, its children."""
    own = psutil.Process(parent.pid)
    return [own, *own.children(recursive=True)]


def held(out: Path) -> dict[str, Record]:
    """The records of a run by their keys; none where it has not begun."""
    return {r.key: r for r in RunFolder.open(out).records() if r.kind == "cost"} if (out / "run.json").exists() else {}


def lost(before: dict[str, Record], after: dict[str, Record]) -> int:
    """Points that were there and are not, or have fewer rounds."""

    def rounds(record: Record) -> int:
        wall = record.measured.wall_s if record.measured else None
        return len(wall.rounds) if wall else 0

    return sum(key not in after or rounds(after[key]) < rounds(record) for key, record in before.items())


def disturbed(out: Path, kills: int, draw: random.Random) -> tuple[int, int, int]:
    """Deal so many kills; how many hit a parent, a server or child, and how many records were lost."""
    parents = others = gone = 0
    parent = started(out)
    known = held(out)
    while parents + others < kills:
        time.sleep(draw.uniform(0.05, 4.0))
        if parent.poll() is not None:
            parent = started(out)
            continue
        try:
            victim = draw.choice(victims(parent))
            victim.send_signal(signal.SIGKILL)
        except psutil.NoSuchProcess:
            continue
        if victim.pid == parent.pid:
            parent.wait()
            parents += 1
            now = held(out)
            gone += lost(known, now)
            known, parent = now, started(out)
        else:
            others += 1
    parent.wait()
    gone += lost(known, held(out))
    return parents, others, gone


def finished(out: Path) -> dict[str, Record]:
    """The sweep let go on until it has nothing more to do."""
    for _ in range(3):
        started(out).wait()
    return held(out)


def orphans(out: Path) -> list[int]:
    """Processes of the sweep that are left."""
    return [p.pid for p in psutil.process_iter(["cmdline"]) if str(out) in " ".join(p.info["cmdline"] or ())]


def told(records: dict[str, Record]) -> dict[str, tuple[object, ...]]:
    """What a page shows of points but for their times."""
    return {key: (r.point, r.cost and r.cost.flops_executed, r.status) for key, r in records.items()}


def main(kills: int, seed: int = 0) -> None:
    """Report what came of so many kills."""
    with tempfile.TemporaryDirectory() as folder:
        quiet, out = Path(folder) / "quiet", Path(folder) / "out"
        expected = finished(quiet)
        parents, others, gone = disturbed(out, kills, random.Random(seed))
        found = finished(out)
        lines = [line for shard in out.glob("records-*.jsonl") for line in shard.read_bytes().splitlines()]
        print(f"{parents} kills of a parent, {others} of a server or child")
        print(
            f"{gone} records lost, {len(found) - len(expected)} points doubled, of {len(expected)}; {len(lines)} lines"
        )
        ours, theirs = told(found), told(expected)
        print(f"equal but for times: {ours == theirs}; processes left: {len(orphans(out))}")
        for key in [key for key in theirs if ours.get(key) != theirs[key]]:
            print(f"  {theirs[key][2]} without kills: {theirs[key][0]}; {found[key].status} with: {found[key].reasons}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
