"""Files that a report leaves: whole or not at all."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from attnprof.errors import AttnprofError


def save(path: Path, content: bytes) -> None:
    """Write a file in one step, its folder included. Raises `AttnprofError` where that cannot be."""
    draft = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.write_bytes(content)
        os.replace(draft, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)  # on a full disk it takes the room that the records need
        raise AttnprofError(f"cannot write {path}: {error.strerror}", hint="choose another --out or --paper") from error
