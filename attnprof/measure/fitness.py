"""Whether a machine is fit to measure on: findings, each with its fix."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psutil

from attnprof.device import Device, devices
from attnprof.device.cpu import cpu_model, free_bytes, memory_bytes
from attnprof.device.instruments.sensors import NullSensors, Sensors
from attnprof.errors import AttnprofError
from attnprof.locate import shipped
from attnprof.machine import load, usable_cores
from attnprof.measure.environment import settings
from attnprof.units import format_bytes

Grade = Literal["ok", "note", "unfit"]

OLDEST_TORCH = (2, 9)
LITTLE_MEMORY = 4 * 2**30
BUSY = 0.25
ALLOCATOR = ("LD_PRELOAD", "GLIBC_TUNABLES", "MALLOC_", "THP_MEM_")
GOVERNOR = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
TOOLS = {
    "chromium": "only the browser tests need it; Debian: apt install chromium",
    "pdflatex": "only to compile paper output here; Debian: apt install texlive-latex-extra",
}


@dataclass(frozen=True, slots=True)
class FitnessFinding:
    """One thing about the machine and its fix; a `note` may cost precision, `unfit` means that nothing is measured."""

    subject: str
    grade: Grade
    text: str
    fix: str = ""


def findings(device: Device, folder: Path) -> list[FitnessFinding]:
    """All findings for measuring on `device` and writing to `folder`. Imports torch."""
    checks: Iterable[Iterator[FitnessFinding]] = (
        python(),
        torch_installed(),
        packages(),
        shipped_folders(),
        processor(),
        memory(),
        allocator(settings(os.environ)),
        writable(folder),
        usable(device),
        beside(device),
        tools(),
    )
    return [finding for check in checks for finding in check]


def python() -> Iterator[FitnessFinding]:
    """The interpreter."""
    yield FitnessFinding("python", "ok", f"{platform.python_version()} on {platform.platform()}")


def torch_installed(version: Callable[[str], str] = importlib.metadata.version) -> Iterator[FitnessFinding]:
    """Whether torch is there and new enough."""
    fix = "pip install 'torch>=2.9'"
    try:
        found = version("torch")
    except importlib.metadata.PackageNotFoundError:
        yield FitnessFinding("torch", "unfit", "torch is not installed", fix)
        return
    numbers = tuple(int(part) for part in found.split("+")[0].split(".")[:2])
    new_enough = numbers >= OLDEST_TORCH
    text = found if new_enough else f"{found} is older than 2.9"
    yield FitnessFinding("torch", "ok" if new_enough else "unfit", text, "" if new_enough else fix)


def packages(version: Callable[[str], str] = importlib.metadata.version) -> Iterator[FitnessFinding]:
    """Whether the abandoned `pynvml` distribution stands in for NVIDIA's own."""
    try:
        old = version("pynvml")
    except importlib.metadata.PackageNotFoundError:
        return
    fix = "pip uninstall pynvml; pip install --force-reinstall nvidia-ml-py"
    yield FitnessFinding("pynvml", "note", f"the deprecated distribution pynvml {old} stands beside nvidia-ml-py", fix)


def shipped_folders() -> Iterator[FitnessFinding]:
    """Whether the schemes and the page's templates are there."""
    for name in ("patterns", "reports"):
        try:
            yield FitnessFinding(name, "ok", str(shipped(name)))
        except AttnprofError as error:
            yield FitnessFinding(name, "unfit", error.message, error.hint)


def processor(governor: Path = GOVERNOR, load: Callable[[], float | None] = load) -> Iterator[FitnessFinding]:
    """Cores, threads, load and frequency scaling."""
    cores, busy = usable_cores(), load()
    yield FitnessFinding("cpu", "ok", f"{cpu_model()}, {cores} usable cores")
    if busy is not None and busy > BUSY * cores:
        yield FitnessFinding(
            "load", "note", f"{busy:.1f} processes run on {cores} cores; times will be noisy", "stop other work"
        )
    threads = _threads()
    if threads is not None and threads > cores:
        fix = f"OMP_NUM_THREADS={cores}"
        yield FitnessFinding("threads", "note", f"torch uses {threads} threads on {cores} usable cores", fix)
    if governor.is_file() and governor.read_text().strip() != "performance":
        fix = "sudo cpupower frequency-set -g performance"
        yield FitnessFinding("frequency", "note", f"the cores' governor is {governor.read_text().strip()}", fix)


def memory(free: Callable[[], int] = free_bytes, swap: Callable[[], int] | None = None) -> Iterator[FitnessFinding]:
    """Free memory, and whether the machine is swapping already."""
    left = free()
    text = f"{format_bytes(left)} free of {format_bytes(memory_bytes())}"
    scarce = left < LITTLE_MEMORY
    fix = "close programs; points that do not fit are predicted_oom" if scarce else ""
    yield FitnessFinding("memory", "note" if scarce else "ok", text, fix)
    swapped = psutil.swap_memory().used if swap is None else swap()
    if swapped > 0:
        yield FitnessFinding(
            "swap", "note", f"{format_bytes(swapped)} are swapped out; times may include paging", "swapoff -a"
        )


def allocator(chosen: Mapping[str, str], libc: str = platform.libc_ver()[0]) -> Iterator[FitnessFinding]:
    """Who hands out the memory of a CPU's tensors: glibc's default adds page faults to the times of large ones."""
    own = {name: value for name, value in chosen.items() if name.startswith(ALLOCATOR)}
    if own:
        yield FitnessFinding("allocator", "ok", ", ".join(f"{name}={value}" for name, value in own.items()))
    elif libc == "glibc":
        text = "glibc's default: tensors above 32 MiB are mapped anew at each use, and their times hold the page faults"
        yield FitnessFinding("allocator", "ok", text)


def writable(folder: Path) -> Iterator[FitnessFinding]:
    """Whether runs can be written."""
    existing = next(parent for parent in (folder.absolute(), *folder.absolute().parents) if parent.exists())
    try:
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        why = f"cannot write to {existing}: {error.strerror}"
        yield FitnessFinding("folder", "unfit", why, "choose a writable folder with --out")
        return
    yield FitnessFinding("folder", "ok", f"runs can be written to {folder}")


def usable(device: Device) -> Iterator[FitnessFinding]:
    """Whether the device asked for is there and torch can use it; then what its sensors say."""
    found = device.presence()
    if found.missing:
        yield FitnessFinding(device.name, "unfit", found.missing, found.fix)
    elif device.accelerator:
        yield FitnessFinding(device.name, "ok", ", ".join(found.names))
        yield from device_state(device.sensors())


def beside(device: Device, others: Iterable[Device] | None = None) -> Iterator[FitnessFinding]:
    """The accelerators that this machine has beside the device asked for, and why torch cannot use one."""
    for other in devices() if others is None else others:
        found = other.presence()
        if other.accelerator and other.name != device.name and found.names:
            grade: Grade = "note" if found.missing else "ok"
            yield FitnessFinding(other.name, grade, found.missing or ", ".join(found.names), found.fix)


def device_state(sensors: Sensors) -> Iterator[FitnessFinding]:
    """What an accelerator's sensors say that matters to timing."""
    if isinstance(sensors, NullSensors):
        yield FitnessFinding("sensors", "note", sensors.why, "without them there is no energy and no clock")
        return
    known = sensors.identity()
    yield FitnessFinding("device", "ok", f"{known.get('name')}, driver {known.get('driver')}")
    others, slowed = sensors.processes(), sensors.throttle()
    if others:
        pids = ", ".join(map(str, others))
        yield FitnessFinding(
            "sharing", "note", f"other processes compute on the device: {pids}", "wait for them, or stop them"
        )
    if slowed:
        yield FitnessFinding(
            "throttling", "note", f"clocks are held back: {', '.join(slowed)}", "let it cool; check its power cap"
        )
    if known.get("persistence") is False:
        yield FitnessFinding("persistence", "note", "the driver unloads between uses", "sudo nvidia-smi -pm 1")
    if known.get("mig"):
        yield FitnessFinding(
            "mig", "note", "the device is partitioned: energy is that of the whole board", "say so with the numbers"
        )
    if sensors.energy_j() is None:
        why = sensors.reasons.get("energy_j", "no counter")
        yield FitnessFinding("energy", "note", f"no energy is measured: {why}", "needs a Volta or newer device")


def tools(which: Callable[[str], str | None] = shutil.which) -> Iterator[FitnessFinding]:
    """Programs that some outputs need."""
    for name, fix in TOOLS.items():
        place = which(name)
        yield FitnessFinding(name, "ok" if place else "note", place or f"{name} is not installed", "" if place else fix)


def _threads() -> int | None:
    try:
        import torch
    except ImportError:
        return None  # reported by `torch_installed`
    return torch.get_num_threads()
