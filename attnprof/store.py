"""A run on disk: a folder with `run.json` and append-only JSONL shards that survive a kill at any moment.

Every record is one line, written by one `os.write` and fsynced. A line without its newline was torn by a kill: it is
repaired when the run is next written to. All other damage is an error that names the file and the line.
"""

from __future__ import annotations

import json
import os
import re
import socket
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from attnprof.errors import AttnprofError
from attnprof.file_lock import lock_file
from attnprof.records import SCHEMA_VERSION, JsonDict, JsonObject, Record, plain
from attnprof.run_files import check_header, check_record
from attnprof.words import Status

HEADER = "run.json"
LOCK = "run.lock"
RETRIED = (Status.FAILED, Status.KILLED)
BINARY = os.O_BINARY if sys.platform == "win32" else 0  # without it a newline is written as two bytes there
APPENDING = os.O_WRONLY | os.O_CREAT | os.O_APPEND | BINARY
# What an environment says that times nothing, or is another a minute later; the memory differs a little at every boot.
PASSING = frozenset({"git", "hostname", "load_1min", "memory_bytes", "platform", "power_w", "clock_mhz", "python"})


@dataclass(frozen=True, slots=True)
class Torn:
    """The unfinished last line of a shard: where it starts, and whether only its newline is missing."""

    shard: Path
    start: int
    line: int
    complete: bool

    def __str__(self) -> str:
        what = "completed the last line" if self.complete else "dropped the torn last line"
        return f"{self.shard.name}: {what} (line {self.line}), which a killed process left unfinished"


class RunFolder:
    """One run folder. Many may read it; the first `append` (or `lock`) makes this process its only writer."""

    def __init__(self, path: Path, header: JsonObject) -> None:
        self.path = path
        self.header = header
        self.notices: list[str] = []
        self._lock: int | None = None
        self._shard: int | None = None

    @classmethod
    def create(cls, path: str | Path, header: JsonObject) -> Self:
        """A new run with this header in `run.json`. Raises `AttnprofError` where that cannot be."""
        path = Path(path)
        if (path / HEADER).exists():
            raise AttnprofError(f"{path} already holds a run", hint="open it to resume, or choose another --out")
        data = {"schema_version": SCHEMA_VERSION, "created_at": _now(), **plain(header)}
        try:
            path.mkdir(parents=True, exist_ok=True)
            _write_whole(path / HEADER, json.dumps(data, indent=1, ensure_ascii=True) + "\n")
        except OSError as error:
            raise _unwritable(path, error) from error
        return cls(path, data)

    @classmethod
    def open(cls, path: str | Path) -> Self:
        """The run in this folder, for reading until something is appended."""
        path = Path(path)
        return cls(path, _header(path))

    def lock(self) -> Self:
        """Become the only writer and repair what a killed one left, told in `notices`. Raises if another is alive."""
        if self._lock is None:
            self._lock = _locked(self.path)
            for torn in filter(None, map(_torn, self.shards())):
                _repair(torn)
                self.notices.append(str(torn))
        return self

    def shards(self) -> list[Path]:
        """The record files, in a fixed order."""
        return sorted(self.path.glob("records-*.jsonl"))

    def append(self, record: Record) -> None:
        """Write one record and wait until the disk has it. Raises `AttnprofError` where it cannot be written."""
        self.lock()
        line = _line(record)
        try:
            if self._shard is None:
                name = f"records-{_host()}-{os.getpid()}.jsonl"
                self._shard = os.open(self.path / name, APPENDING, 0o644)
            _write_line(self._shard, line)
        except OSError as error:
            raise _unwritable(self.path, error) from error

    def extend(self, name: str, entry: JsonObject) -> None:
        """Add an entry to a list in the header."""
        self.amend(**{name: [*(self.header.get(name) or []), plain(entry)]})

    def amend(self, **entries: object) -> None:
        """Change entries of the header; a reader sees the old one or the new one, never half of either."""
        self.lock()
        self.header = {**self.header, **plain(entries)}
        try:
            _write_whole(self.path / HEADER, json.dumps(self.header, indent=1, ensure_ascii=True) + "\n")
        except OSError as error:
            raise _unwritable(self.path, error) from error

    def records(self) -> list[Record]:
        """The newest record of every key, in the order in which keys first appeared.

        Times of too few rounds have the interval that the noise of the whole run gives them, as on every page and in
        every sentence; `written` has those of their own samples.
        """
        from attnprof.settled import settled  # NumPy, which a sweep's parent does without until it ends

        return settled(self.written())

    def written(self) -> list[Record]:
        """The same records as the disk holds them."""
        newest: dict[str, tuple[str, Record]] = {}
        for stamp, record in self._lines():
            if record.key not in newest or stamp >= newest[record.key][0]:
                newest[record.key] = (stamp, record)
        return [record for _, record in newest.values()]

    def keys(self, *, retried: Iterable[str] = RETRIED) -> set[str]:
        """The keys that need no further work: those whose newest record has no status in `retried`."""
        again = set(retried)
        return {record.key for record in self.written() if record.status not in again}

    def close(self) -> None:
        """Give up writing. The lock goes with it."""
        for handle in (self._shard, self._lock):
            if handle is not None:
                os.close(handle)
        self._shard = self._lock = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _lines(self) -> Iterator[tuple[str, Record]]:
        found = [entry for shard in self.shards() for entry in _read(shard)]
        return iter(sorted(found, key=lambda entry: entry[0]))


def machine_of(header: JsonObject) -> JsonDict:
    """What of a run's header decides what a measurement says: processor, device, threads, settings, software.

    Two runs are of the same machine where this is equal; what is empty is left out, as if it had not been asked for.
    """
    return _lasting(header.get("environment") or {})


def _lasting(known: Mapping[str, object]) -> dict[str, object]:
    parts = {k: _lasting(v) if isinstance(v, Mapping) else v for k, v in known.items() if k not in PASSING}
    return {name: value for name, value in parts.items() if value not in (None, {})}


def _read(shard: Path) -> Iterator[tuple[str, Record]]:
    lines = shard.read_bytes().split(b"\n")
    torn = lines.pop()
    for number, line in enumerate(lines, start=1):
        yield _parsed(shard, number, line)
    if _json(torn) is not None:
        yield _parsed(shard, len(lines) + 1, torn)


def _parsed(shard: Path, number: int, line: bytes) -> tuple[str, Record]:
    data = _json(line)
    if data is None:
        raise _corrupt(shard, number, "it is not a JSON object")
    _check_version(data.get("schema_version"), f"{shard}, line {number}")
    if (why := check_record(data)) is not None:
        raise _corrupt(shard, number, why)
    try:
        record = Record.from_json(data)
    except AttnprofError as error:
        raise _corrupt(shard, number, f"{error.message}, {error.hint}") from error
    except (KeyError, TypeError, ValueError, AttributeError, StopIteration, OverflowError) as error:
        raise _corrupt(shard, number, f"it is not a record ({type(error).__name__}: {error})") from error
    return str(data.get("recorded_at") or ""), record


def _json(line: bytes) -> dict[str, object] | None:
    try:
        data = json.loads(line, parse_constant=_not_finite)
    except (ValueError, RecursionError):
        return None
    return data if isinstance(data, dict) else None


def _not_finite(text: str) -> float:
    raise ValueError(f"{text} is no number of JSON")


def _line(record: Record) -> bytes:
    data = record.to_json()
    data["recorded_at"] = _now()
    try:
        return json.dumps(data, allow_nan=False, separators=(",", ":")).encode() + b"\n"
    except (ValueError, TypeError) as error:
        raise AttnprofError(
            f"the record {record.key} of {record.point.target} cannot be stored: {error}",
            hint="a missing number is None with a reason, never NaN or infinity",
        ) from error


def _write_line(handle: int, line: bytes) -> None:
    start = os.fstat(handle).st_size
    written = os.write(handle, line)
    if written < len(line):
        os.ftruncate(handle, start)
        raise OSError(f"only {written} of {len(line)} bytes were written; the disk is full")
    os.fsync(handle)


def _write_whole(path: Path, text: str) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with draft.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def _torn(shard: Path) -> Torn | None:
    data = shard.read_bytes()
    if not data or data.endswith(b"\n"):
        return None
    start = data.rfind(b"\n") + 1
    return Torn(shard, start, data.count(b"\n") + 1, complete=_json(data[start:]) is not None)


def _repair(torn: Torn) -> None:
    try:
        with torn.shard.open("r+b") as file:
            if torn.complete:
                file.seek(0, os.SEEK_END)
                file.write(b"\n")
            else:
                file.truncate(torn.start)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise _unwritable(torn.shard.parent, error) from error


def _locked(path: Path) -> int:
    try:
        handle = os.open(path / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise _unwritable(path, error) from error
    try:
        lock_file(handle)
    except BlockingIOError:
        owner = os.read(handle, 200).decode(errors="replace").strip() or "an unknown process"
        os.close(handle)
        hint = "wait for it or stop it, or choose another --out"
        raise AttnprofError(f"{path} is being written by {owner}", hint=hint) from None
    except OSError as error:
        os.close(handle)
        raise _unwritable(path, error) from error
    os.ftruncate(handle, 0)
    os.write(handle, f"process {os.getpid()} on {_host()}\n".encode())
    return handle


def _header(path: Path) -> dict[str, object]:
    file = path / HEADER
    try:
        data = _json(file.read_bytes())
    except FileNotFoundError:
        raise AttnprofError(f"{path} is not a run: it has no {HEADER}", hint="a sweep prints its run folder") from None
    except OSError as error:
        raise AttnprofError(f"cannot read {file}: {error.strerror}", hint="check the folder's permissions") from error
    if data is None:
        raise AttnprofError(f"{file} is corrupt: it is not a JSON object", hint="sweep again with --fresh")
    _check_version(data.get("schema_version"), str(file))
    if (why := check_header(data)) is not None:
        raise AttnprofError(f"{file} is corrupt: {why}", hint="restore it, or sweep again with --fresh")
    return data


def _check_version(version: object, place: str) -> None:
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise AttnprofError(f"{place}: no schema_version, so it is not attnprof's", hint="delete it, or restore it")
    if version > SCHEMA_VERSION:
        raise AttnprofError(
            f"{place}: schema version {version}, but this attnprof reads up to {SCHEMA_VERSION}",
            hint="upgrade attnprof, or sweep into another --out",
        )


def _corrupt(shard: Path, number: int, why: str) -> AttnprofError:
    return AttnprofError(
        f"{shard}, line {number} is corrupt: {why}", hint="delete that line; its point is measured again"
    )


def _unwritable(path: Path, error: OSError) -> AttnprofError:
    why = error.strerror or str(error)
    return AttnprofError(f"cannot write to {path}: {why}", hint="choose a writable folder with --out")


def _host() -> str:
    return re.sub(r"[^A-Za-z0-9_.-]", "_", socket.gethostname()) or "host"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")
