"""attnprof: what an attention scheme costs, and what it can see, as the sequence grows."""

# pyright: reportUnsupportedDunderAll=false
from __future__ import annotations

import importlib
from importlib.metadata import PackageNotFoundError, version

PUBLIC = {
    "target": "api",
    "count": "api",
    "analyze": "api",
    "profile": "api",
    "check": "api",
    "forms": "api",
    "limit": "api",
    "sweep": "api",
    "read_run": "api",
    "figure": "api",
    "AttnprofError": "errors",
}

__all__ = [
    "AttnprofError",
    "analyze",
    "check",
    "count",
    "figure",
    "forms",
    "limit",
    "profile",
    "read_run",
    "sweep",
    "target",
]

try:
    __version__ = version("attnprof")
except PackageNotFoundError:
    __version__ = "0+unknown"


def __getattr__(name: str) -> object:
    """Public functions are imported when first used, so that `import attnprof` stays light."""
    if name in PUBLIC:
        return getattr(importlib.import_module(f"attnprof.{PUBLIC[name]}"), name)
    raise AttributeError(f"module 'attnprof' has no attribute {name!r}")
