"""Which accelerators this process could use, found without importing torch."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attnprof.errors import AttnprofError
from attnprof.words import Device

CUDA_LIBRARY = "libtorch_cuda*"


def best_device() -> Device:
    """The device that `auto` stands for on this machine."""
    return Device.CUDA if accelerators() else Device.CPU


def available(device: Device) -> Device:
    """The device asked for, `auto` resolved. Raises `AttnprofError` for one that this machine does not have."""
    if device is Device.AUTO:
        return best_device()
    if device is Device.CUDA and not accelerators():
        raise AttnprofError(
            "there is no CUDA device on this machine", hint="--device cpu, or --device none to count only"
        )
    return device


def accelerators(
    *, nvml: Any = None, environ: Mapping[str, str] = os.environ, torch_folder: Path | None = None
) -> tuple[str, ...]:
    """Names of the CUDA devices that the driver shows and the installed torch was built for; empty without either."""
    return device_names(nvml=nvml, environ=environ) if built_for_cuda(torch_folder) else ()


def device_names(*, nvml: Any = None, environ: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """Names of the devices that the driver shows to this process, whatever torch was built for."""
    if nvml is None:
        import pynvml as nvml
    try:
        nvml.nvmlInit()
        handles = [nvml.nvmlDeviceGetHandleByIndex(i) for i in range(nvml.nvmlDeviceGetCount())]
        names = tuple(str(nvml.nvmlDeviceGetName(handle)) for handle in handles)
    except (nvml.NVMLError, nvml.NVMLLibraryMismatchError):
        return ()  # no driver, or one too old to talk to: then CUDA has no device either
    return names[: _visible(environ, len(names))]


def built_for_cuda(folder: Path | None = None) -> bool:
    """Whether the installed torch has CUDA in it, judged by its libraries."""
    spec = importlib.util.find_spec("torch") if folder is None else None
    folder = folder or (Path(spec.origin).parent if spec and spec.origin else None)
    return folder is not None and any((folder / "lib").glob(CUDA_LIBRARY))


def _visible(environ: Mapping[str, str], count: int) -> int:
    """How many devices `CUDA_VISIBLE_DEVICES` leaves: CUDA reads it up to the first entry that names none."""
    listed = environ.get("CUDA_VISIBLE_DEVICES")
    if listed is None:
        return count
    left = 0
    for entry in (part.strip() for part in listed.split(",")):
        if not (entry.startswith(("GPU-", "MIG-")) or (entry.isdigit() and int(entry) < count)):
            break
        left += 1
    return left
