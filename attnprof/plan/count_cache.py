"""Counts that were made before, by the content of all the code they depend on: stale ones cannot be found again."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import json
import os
import platform
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from attnprof.locate import PACKAGE
from attnprof.machine import usable_cores
from attnprof.records import content_hash

PACKAGES = ("torch", "numpy", "sympy")


def folder() -> Path:
    """Where counts are kept: `$ATTNPROF_CACHE`, else `attnprof` in the user's cache folder."""
    given = os.environ.get("ATTNPROF_CACHE")
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(given) if given else Path(base) / "attnprof"


def code_hash(files: Iterable[Path] = ()) -> str:
    """A hash of the package's own sources, of further files, and of the versions that a count depends on."""
    digest = hashlib.sha256()
    for file in [*sorted(PACKAGE.rglob("*.py")), *sorted(files)]:
        digest.update(file.name.encode() + b"\0" + file.read_bytes())
    versions = [importlib.metadata.version(name) for name in PACKAGES]
    digest.update(json.dumps([platform.python_version(), *versions, os.cpu_count(), threads()]).encode())
    return digest.hexdigest()[:24]


def threads() -> str:
    """What decides how many threads kernels use, and so how many buffers they hold."""
    return f"{os.environ.get('OMP_NUM_THREADS', '')}/{os.environ.get('MKL_NUM_THREADS', '')}/{usable_cores()}"


class Missing(Exception):
    """A value is not in a cache that may not make one."""


class CountCache:
    """JSON values by what they were made from; one file for each hash of the code. `complete` ones make nothing new."""

    def __init__(self, code: str, where: Path | None = None, *, complete: bool = False) -> None:
        self.complete = complete
        self.made: dict[str, Any] = {}
        self.path = (where or folder()) / f"cost-{code}.json"
        self.values: dict[str, Any] = self._read()

    def _read(self) -> dict[str, Any]:
        try:
            return json.loads(self.path.read_text())
        except (OSError, json.JSONDecodeError):
            return {}

    def has(self, about: Any) -> bool:
        """Whether a value for `about` was made before."""
        return content_hash(about) in self.values

    def get(self, about: Any, make: Callable[[], Any]) -> Any:
        """The value for `about`, made now if it was not made before."""
        key = content_hash(about)
        if key not in self.values:
            if self.complete:
                raise Missing(key)
            self.values[key] = self.made[key] = make()
        return self.values[key]

    def add(self, made: Mapping[str, Any]) -> None:
        """Take over what another process made for the same code."""
        self.values.update(made)
        self.made.update(made)

    def close(self) -> None:
        """Write what is new, in one step. A folder that cannot be written is no failure, only slower next time."""
        if not self.made:
            return
        part = self.path.with_suffix(f".{os.getpid()}.part")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            part.write_text(json.dumps(self.values))
            part.replace(self.path)
            self._sweep_old()
        except OSError:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)

    def _sweep_old(self) -> None:
        """Remove the files of other versions of the code, the oldest first, but for a few."""
        others = sorted(self.path.parent.glob("cost-*.json"), key=lambda file: file.stat().st_mtime)
        for file in others[:-KEPT]:
            file.unlink(missing_ok=True)


KEPT = 4
