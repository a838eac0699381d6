"""Pure Python packages that are not installed, taken from a folder of wheels."""

from __future__ import annotations

import importlib.metadata
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path

PURE = "-none-any.whl"


@dataclass(frozen=True, slots=True)
class Unpacked:
    """A folder for the path, and for each wheel whether it is used, and if not, why."""

    folder: Path
    wheels: dict[str, str]


def unpack(wheels: Path, folder: Path) -> Unpacked:
    """Unpack the wheels of packages that are not installed; nothing that is installed is replaced."""
    folder.mkdir(parents=True, exist_ok=True)
    found = {}
    for wheel in sorted(wheels.glob("*.whl")):
        found[wheel.name] = reason = not_needed(wheel)
        if not reason:
            zipfile.ZipFile(wheel).extractall(folder)
            found[wheel.name] = "used"
    return Unpacked(folder, found)


def not_needed(wheel: Path) -> str:
    """Why a wheel is left where it is; empty if it is to be used."""
    if not wheel.name.endswith(PURE):
        return "left: it is not pure Python"
    name = re.sub(r"[-_.]+", "-", wheel.name.split("-")[0]).lower()
    try:
        return f"left: {importlib.metadata.version(name)} is installed"
    except importlib.metadata.PackageNotFoundError:
        return ""
