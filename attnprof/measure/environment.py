"""The machine that a run was measured on, as `run.json` records it."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import psutil

from attnprof.device import Device, devices
from attnprof.device.cpu import cpu_model, memory_bytes
from attnprof.machine import load, usable_cores

PACKAGES = ("torch", "numpy", "triton")
SETTINGS = ("LD_PRELOAD", "GLIBC_TUNABLES", "MALLOC_", "THP_MEM_", "OMP_", "MKL_", "KMP_", "PYTORCH_", "NVIDIA_TF32")
CROWDED = 0.25


def environment(device: Device, folder: Path | None = None) -> dict[str, object]:
    """What a reader needs in order to judge the numbers, as plain JSON; None where something cannot be known.

    Imports torch. An accelerator is identified, with its power now, which is its idle power when nothing runs yet.
    `folder` is where the state of git is asked (default: the working directory).
    """
    return {
        "platform": platform.platform(),
        "python": platform.python_version(),
        "hostname": platform.node(),
        "cpu": cpu_model(),
        "cores_physical": psutil.cpu_count(logical=False),
        "cores_usable": usable_cores(),
        "load_1min": load(),
        "memory_bytes": memory_bytes(),
        "packages": {name: _version(name) for name in PACKAGES},
        "settings": settings(os.environ),
        "git": git_state(folder or Path.cwd()),
        **_torch_state(device),
        **_sensed(device),
    }


def settings(variables: Mapping[str, str]) -> dict[str, str]:
    """Environment variables that change what is measured: the allocator's, the thread pools', torch's.

    Libraries that are loaded first are named without their folders.
    """
    found = {name: variables[name] for name in sorted(variables) if name.startswith(SETTINGS)}
    if "LD_PRELOAD" in found:
        found["LD_PRELOAD"] = " ".join(Path(part).name for part in found["LD_PRELOAD"].replace(":", " ").split())
    return found


def crowded(threads: int, *, cores: int | None = None, busy: float | None = None) -> dict[str, str]:
    """The flag `busy_machine` with its reason where more runs on the cores than the `threads` of this process."""
    cores = cores or usable_cores()
    busy = load() if busy is None else busy
    if busy is None or busy <= threads + CROWDED * cores:
        return {}
    return {"busy_machine": f"{busy:.1f} processes ran on {cores} cores, of which {threads} were to be ours"}


def git_state(
    folder: Path, run: Callable[..., subprocess.CompletedProcess[str]] = subprocess.run
) -> dict[str, object] | None:
    """The commit checked out in a folder and whether files differ from it; None outside a repository or without git."""
    commit = _git(folder, run, "rev-parse", "HEAD")
    changed = _git(folder, run, "status", "--porcelain", "--untracked-files=no")
    return None if commit is None or changed is None else {"commit": commit, "modified": bool(changed)}


def _git(folder: Path, run: Callable[..., subprocess.CompletedProcess[str]], *arguments: str) -> str | None:
    try:
        done = run(("git", "-C", str(folder), *arguments), capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _torch_state(device: Device) -> dict[str, object]:
    import torch

    return {
        "device": device.name,
        "device_name": device.model(),
        "threads": torch.get_num_threads(),
        **{name: value for each in devices() for name, value in each.software().items()},
        "float32_matmul_precision": torch.get_float32_matmul_precision(),
    }


def _sensed(device: Device) -> Mapping[str, object]:
    sensors = device.sensors()
    known = sensors.identity()
    if not known:
        return {"accelerator": None}
    return {"accelerator": {**known, "power_w": sensors.power_w(), "clock_mhz": sensors.clock_mhz()}}


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
