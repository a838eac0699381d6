"""The code that a target is made of, as a hash: what a record's key and a cache of counts must hold."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

from attnprof.contracts import Target
from attnprof.locate import PACKAGE, shipped
from attnprof.usercode import UserCode
from attnprof.userfiles import sources_of


def source_hash(target: Target) -> str:
    """A hash of all the code that decides what a target costs: its own files, layers, runners, patterns, counting."""
    path = getattr(getattr(target, "entry", None), "path", None)
    own = [Path(path)] if path else [Path(p) for p in (target.files if isinstance(target, UserCode) else ())]
    own = [source for file in own for source in (sources_of(file) if file.suffix == ".py" else (file,))]
    if target.card.pattern_of:
        own.append(shipped("patterns") / f"{target.card.pattern_of}.py")
    own.append(PACKAGE / "schemes" / f"{target.name}.py")
    digest = hashlib.sha256(_shared_sources())
    for file in own:
        digest.update(file.read_bytes() if file.is_file() else b"")
    return digest.hexdigest()[:16]


@cache
def _shared_sources() -> bytes:
    """What every target's cost rests on; it does not change while a process runs."""
    digest = hashlib.sha256()
    rooms = ("pattern", "layers", "impl", "targets", "counting")
    for file in sorted(file for room in rooms for file in (PACKAGE / room).rglob("*.py")):
        digest.update(file.read_bytes())
    return digest.digest()
