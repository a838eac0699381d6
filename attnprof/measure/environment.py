"""The machine that a run was measured on, as `run.json` records it; and the memory that is free on a device."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import psutil

from attnprof.measure.sensors import Sensors
from attnprof.words import Device

PACKAGES = ("torch", "numpy", "triton")
SETTINGS = ("LD_PRELOAD", "GLIBC_TUNABLES", "MALLOC_", "THP_MEM_", "OMP_", "MKL_", "KMP_", "PYTORCH_", "NVIDIA_TF32")
CROWDED = 0.25
CGROUP = Path("/sys/fs/cgroup")


def environment(device: str = "cpu", *, sensors: Sensors | None = None, folder: Path | None = None) -> dict[str, Any]:
    """What a reader needs in order to judge the numbers, as plain JSON; None where something cannot be known.

    Imports torch. `sensors` add the accelerator's identity and its power now, which is its idle power when nothing
    runs yet. `folder` is where the state of git is asked (default: the working directory).
    """
    return {
        "platform": platform.platform(),
        "python": platform.python_version(),
        "hostname": platform.node(),
        "cpu": cpu_model(),
        "cores_physical": psutil.cpu_count(logical=False),
        "cores_usable": usable_cores(),
        "load_1min": os.getloadavg()[0],
        "memory_bytes": memory_bytes(),
        "packages": {name: _version(name) for name in PACKAGES},
        "settings": settings(os.environ),
        "git": git_state(folder or Path.cwd()),
        **_torch_state(device),
        **_sensed(sensors),
    }


def settings(variables: Mapping[str, str]) -> dict[str, str]:
    """Environment variables that change what is measured: the allocator's, the thread pools', torch's.

    Libraries that are loaded first are named without their folders.
    """
    found = {name: variables[name] for name in sorted(variables) if name.startswith(SETTINGS)}
    if "LD_PRELOAD" in found:
        found["LD_PRELOAD"] = " ".join(Path(part).name for part in found["LD_PRELOAD"].replace(":", " ").split())
    return found


def free_bytes(device: str = "cpu", *, limits: Path = CGROUP) -> int:
    """Bytes that can still be allocated: on a CPU without swapping and within the control group's limit."""
    if device != Device.CPU:
        return _free_on(device)
    free = psutil.virtual_memory().available
    limit, used = _number(limits / "memory.max"), _number(limits / "memory.current")
    return free if limit is None or used is None else max(0, min(free, limit - used))


def _free_on(device: str) -> int:
    """What the driver has left, and what torch's allocator holds but does not use."""
    import torch

    idle = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return torch.cuda.mem_get_info(device)[0] + idle


def memory_bytes(*, limits: Path = CGROUP) -> int:
    """Memory of the machine, or of the control group if that has less."""
    total, limit = psutil.virtual_memory().total, _number(limits / "memory.max")
    return total if limit is None else min(total, limit)


def usable_cores() -> int:
    """Logical cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def crowded(threads: int, *, cores: int | None = None, load: float | None = None) -> dict[str, str]:
    """The flag `busy_machine` with its reason where more runs on the cores than the `threads` of this process."""
    cores = cores or usable_cores()
    load = os.getloadavg()[0] if load is None else load
    if load <= threads + CROWDED * cores:
        return {}
    return {"busy_machine": f"{load:.1f} processes ran on {cores} cores, of which {threads} were to be ours"}


def cpu_model(path: Path = Path("/proc/cpuinfo")) -> str | None:
    """The processor's name."""
    if path.is_file():
        for line in path.read_text(errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() in ("model name", "Model", "Processor") and value.strip():
                return value.strip()
    return platform.processor() or None


def git_state(folder: Path, run: Callable[..., Any] = subprocess.run) -> dict[str, Any] | None:
    """The commit checked out in a folder and whether files differ from it; None outside a repository or without git."""
    commit = _git(folder, run, "rev-parse", "HEAD")
    changed = _git(folder, run, "status", "--porcelain", "--untracked-files=no")
    return None if commit is None or changed is None else {"commit": commit, "modified": bool(changed)}


def _git(folder: Path, run: Callable[..., Any], *arguments: str) -> str | None:
    try:
        done = run(("git", "-C", str(folder), *arguments), capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _torch_state(device: str) -> dict[str, Any]:
    import torch

    return {
        "device": device,
        "device_name": cpu_model() if device == Device.CPU else torch.cuda.get_device_name(device),
        "threads": torch.get_num_threads(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version() if torch.cuda.is_available() else None,
        "float32_matmul_precision": torch.get_float32_matmul_precision(),
    }


def _sensed(sensors: Sensors | None) -> Mapping[str, Any]:
    if sensors is None or not sensors.identity():
        return {"accelerator": None}
    return {"accelerator": {**sensors.identity(), "power_w": sensors.power_w(), "clock_mhz": sensors.clock_mhz()}}


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None
