"""The code that a target is made of, as a hash: what a record's key and a cache of counts must hold."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from attnprof.contracts import SchemeTarget, Target
from attnprof.locate import PACKAGE, shipped
from attnprof.targets.catalog import maths_file
from attnprof.usercode import UserCode
from attnprof.userfiles import Imported, imported_by, version_of


def source_hash(target: Target) -> str:
    """A hash of all that decides what a target costs: its files, the rooms that it rests on, the packages it imports.

    Of packages the versions; torch stands in every key by itself.
    """
    digest = hashlib.sha256(_shared_sources())
    packages: set[str] = set()
    for file in _files(target):
        found = imported_by(file) if file.suffix == ".py" else Imported((file,), ())
        packages |= {*found.packages}
        for each in found.files:
            digest.update(each.read_bytes() if each.is_file() else b"")
    digest.update("".join(f"{name} {_version(name)};" for name in sorted(packages)).encode())
    return digest.hexdigest()[:16]


def _files(target: Target) -> list[Path]:
    own = target.files if isinstance(target, (UserCode, SchemeTarget)) else ()
    return files_behind(own, target)


def files_behind(own: Sequence[str], target: Target) -> list[Path]:
    """The files that a target comes from, with those of its maths, its pattern and what computes it."""
    found = [Path(file) for file in own]
    found += [maths_file(file.stem, target.card) for file in found[:1]]
    if target.card.pattern_of:
        found.append(shipped("patterns") / f"{target.card.pattern_of}.py")
    if target.impl:
        found.append(Path(target.impl) if target.impl.endswith(".py") else PACKAGE / "impl" / f"{target.impl}.py")
    return found


_version = cache(version_of)  # it does not change while a process runs


@cache
def _shared_sources() -> bytes:
    """What every target's cost rests on; it does not change while a process runs."""
    digest = hashlib.sha256()
    rooms = ("pattern", "layers", "impl", "targets", "counting")
    alone = (PACKAGE / f"{name}.py" for name in ("contracts", "shapes", "torch_private", "usercode", "userfiles"))
    for file in sorted([*alone, *(file for room in rooms for file in (PACKAGE / room).rglob("*.py"))]):
        digest.update(file.read_bytes())
    return digest.digest()


@cache
def measuring_hash() -> str:
    """A hash of the code that reads clocks and decides how often: another way to measure gives other numbers."""
    digest = hashlib.sha256()
    for file in sorted(file for room in ("measure", "device") for file in (PACKAGE / room).rglob("*.py")):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]
