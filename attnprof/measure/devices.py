"""Which accelerators this machine has, without importing torch."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def accelerators() -> int:
    """CUDA devices that NVML sees and that the installed torch can use; 0 with a CPU build."""
    try:
        if version("torch").endswith("+cpu"):
            return 0
    except PackageNotFoundError:
        return 0
    import pynvml

    try:
        pynvml.nvmlInit()
        return int(pynvml.nvmlDeviceGetCount())
    except (pynvml.NVMLError, pynvml.NVMLLibraryMismatchError):
        return 0
