"""Counts that were made before, by the content of all the code they depend on: stale ones cannot be found again."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import json
import os
import platform
from collections.abc import Iterable, Mapping
from pathlib import Path

from attnprof.locate import PACKAGE
from attnprof.machine import usable_cores
from attnprof.records import JsonDict

PACKAGES = ("torch", "numpy", "sympy")
KEPT = 4


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


class CountCache:
    """JSON values by the key of what they answer; one file for each hash of the code."""

    def __init__(self, code: str, where: Path | None = None) -> None:
        self.path = (where or folder()) / f"cost-{code}.json"

    def read(self) -> JsonDict:
        """All values; none where the file is missing or damaged."""
        try:
            return json.loads(self.path.read_text())
        except (OSError, json.JSONDecodeError):
            return {}

    def add(self, made: Mapping[str, object]) -> None:
        """Write new values, in one step. A folder that cannot be written is no failure, only slower next time."""
        if not made:
            return
        part = self.path.with_suffix(f".{os.getpid()}.part")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            part.write_text(json.dumps({**self.read(), **made}))
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
