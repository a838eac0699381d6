"""Certified counts kept in a file that a person reads, and what has changed against them.

The file is TOML, one table a test and count:

    ["test_cost.py::test_layer · dense n=1024 forward"]
    flops_executed = 8_388_608
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path

from attnprof.errors import AttnprofError
from attnprof.file_lock import lock_file

FILE = "attnprof-golden.toml"
HEADER = "# KeptCounts that `pytest --attnprof-update` wrote: a multiply-add is 2 FLOPs, memory is in bytes.\n"

KeptCounts = Mapping[str, int]


def read(path: Path) -> dict[str, dict[str, int]]:
    """The tables of a file; none where there is no file. Raises `AttnprofError` for one that is damaged."""
    if not path.exists():
        return {}
    try:
        found = tomllib.loads(path.read_text())
    except tomllib.TOMLDecodeError as error:
        raise AttnprofError(f"{path} is damaged: {error}", hint="write it again: pytest --attnprof-update") from error
    return {name: {key: int(value) for key, value in table.items()} for name, table in found.items()}


def write(path: Path, tables: Mapping[str, KeptCounts]) -> None:
    """The tables as text, sorted, digits in groups of three."""
    parts = [HEADER]
    for name in sorted(tables):
        escaped = name.replace("\\", "\\\\").replace('"', '\\"')
        rows = "".join(f"{key} = {value:_}\n" for key, value in sorted(tables[name].items()))
        parts.append(f'["{escaped}"]\n{rows}')
    path.write_text("\n".join(parts))


def update(path: Path, name: str, counts: KeptCounts) -> None:
    """Put one table in. Raises `AttnprofError` where another process writes at the same time."""
    with path.with_suffix(".lock").open("a") as held:
        try:
            lock_file(held.fileno())
        except BlockingIOError as error:
            raise AttnprofError(f"{path} is being written by another process", hint="update without -n") from error
        write(path, {**read(path), name: dict(counts)})
    path.with_suffix(".lock").unlink(missing_ok=True)


def changes(known: KeptCounts, now: KeptCounts) -> list[str]:
    """What differs, each with the old and the new number."""
    told = []
    for key in sorted({*known, *now}):
        old, new = known.get(key), now.get(key)
        if old == new:
            continue
        if old is None or new is None:
            told.append(
                f"{key}: {'not kept' if old is None else f'{old:,}'} -> {'not known' if new is None else f'{new:,}'}"
            )
        else:
            share = f" ({new / old - 1:+.2%})" if old else ""
            told.append(f"{key}: {old:,} -> {new:,}{share}")
    return told
