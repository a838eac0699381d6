"""The code that a target is made of, as a hash: what a record's key and a cache of counts must hold."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

from attnprof.contracts import SchemeTarget, Target
from attnprof.locate import PACKAGE, shipped
from attnprof.targets.catalog import maths_file
from attnprof.usercode import UserCode
from attnprof.userfiles import sources_of


def source_hash(target: Target) -> str:
    """A hash of all the code that decides what a target costs: its own files and the rooms that it rests on."""
    own = [Path(file) for file in target.files] if isinstance(target, (UserCode, SchemeTarget)) else []
    if target.impl and target.impl.endswith(".py"):
        own.append(Path(target.impl))
    own = [source for file in own for source in (sources_of(file) if file.suffix == ".py" else (file,))]
    if target.card.pattern_of:
        own.append(shipped("patterns") / f"{target.card.pattern_of}.py")
    own += [maths_file(file.stem, target.card) for file in own[:1]]
    digest = hashlib.sha256(_shared_sources())
    for file in own:
        digest.update(file.read_bytes() if file.is_file() else b"")
    return digest.hexdigest()[:16]


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
