"""What Linux alone offers is not needed to import, count, graph, or keep a run: the same with it hidden."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from attnprof import file_lock, machine

# Hidden from attnprof alone, in all its processes: what others do on this system is theirs. Windows has `msvcrt` in
# place of `fcntl`.
HIDE = """
import builtins, errno, multiprocessing, os, select, signal, types
locked = {}
def locking(handle, mode, count):
    place = (os.fstat(handle).st_ino, os.lseek(handle, 0, os.SEEK_CUR))
    if locked.setdefault(place, handle) != handle:
        raise PermissionError(errno.EACCES, "Permission denied")
signals = types.SimpleNamespace(**{name: held for name, held in vars(signal).items() if name != "SIGKILL"})
windows = types.SimpleNamespace(locking=locking, LK_NBLCK=2)
plain = builtins.__import__
def importing(name, globals=None, *rest, **named):
    if str((globals or {}).get("__name__")).startswith("attnprof"):
        if name in ("fcntl", "resource"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        if name in ("msvcrt", "signal"):
            return windows if name == "msvcrt" else signals
    return plain(name, globals, *rest, **named)
builtins.__import__ = importing
for name in ("sched_getaffinity", "getloadavg", "fork", "setsid", "killpg", "pwrite"):
    delattr(os, name)
del select.poll
multiprocessing.get_all_start_methods = lambda: ["spawn"]
def get_context(method=None, plain=multiprocessing.get_context):
    assert method in (None, "spawn"), method
    return plain(method)
multiprocessing.get_context = get_context
"""
USE = """
import importlib, pkgutil, sys, attnprof
from attnprof.cli import main
from attnprof.errors import AttnprofError
from attnprof.records import Point, Record
from attnprof.shapes import Shape
from attnprof.store import RunFolder
for module in pkgutil.walk_packages(attnprof.__path__, "attnprof."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
assert attnprof.count("dense", n=64).cost.flops_executed
assert attnprof.analyze("longformer", n=600)
folder = sys.argv[1]
with RunFolder.create(folder, {}).lock() as run:
    run.append(Record("cost", "k", Point("dense", Shape(n=64))))
    try:
        RunFolder.open(folder).lock()
    except AttnprofError as error:
        assert "is being written by process" in error.message, error.message
    else:
        raise AssertionError("two writers")
assert [record.key for record in RunFolder.open(folder).records()] == ["k"]
swept = folder + "-swept"
few = ["--pass", "forward", "--dim", "16", "--heads", "2", "--rounds", "1", "--time-budget", "0.05", "--out", swept]
for line in (
    ["list"],
    ["cost", "dense", "--lengths", "64"],
    ["graph", "bigbird", "--n", "512", "--no-page"],
    ["sweep", "linear", "--lengths", "64", *few],
    ["report", swept],
):
    try:
        main(line)
    except SystemExit as ended:
        assert not ended.code, line
from attnprof.device import device_named
from attnprof.measure.environment import environment
found = environment(device_named("cpu"))
assert found["load_1min"] is None and found["cores_usable"] >= 1
records = [record for record in RunFolder.open(swept).records() if record.kind == "cost"]
assert [(record.point.target, record.status) for record in records] == [("linear", "ok")], records
assert records[0].measured.wall_s.samples
print("DONE")
"""


def test_every_command_and_a_sweep_need_nothing_of_linux(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(HIDE)
    path = os.pathsep.join([str(tmp_path), *sys.path])
    env = {**os.environ, "ATTNPROF_CACHE": str(tmp_path / "cache"), "PYTHONPATH": path}
    command = (sys.executable, "-c", USE, str(tmp_path / "run"))
    done = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.stdout.endswith("DONE\n"), done.stderr
    assert "this system cannot fork: each child is a process that loads torch itself" in done.stderr
    assert not [p for p in psutil.process_iter(["cmdline"]) if str(tmp_path) in " ".join(p.info["cmdline"] or ())]


def test_without_an_affinity_every_core_is_usable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity")
    assert machine.usable_cores() == os.cpu_count()


def test_without_a_load_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "getloadavg")
    assert machine.load() is None


def test_microsofts_lock_is_beyond_the_text_that_others_read(tmp_path: Path) -> None:
    asked: list[tuple[int, int, int]] = []

    def locking(handle: int, mode: int, count: int) -> None:
        asked.append((os.lseek(handle, 0, os.SEEK_CUR), mode, count))
        if len(asked) > 1:
            raise PermissionError(13, "Permission denied")

    runtime: Any = SimpleNamespace(locking=locking, LK_NBLCK=2)
    with (tmp_path / "lock").open("w+b", buffering=0) as file:
        file_lock._lock_region(file.fileno(), runtime)
        assert (asked, file.tell()) == ([(file_lock.BEYOND, 2, 1)], 0)
        with pytest.raises(BlockingIOError):
            file_lock._lock_region(file.fileno(), runtime)
