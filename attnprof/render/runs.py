"""The headers of runs as a reader sees them: the environment, the command, when it began."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from attnprof import units
from attnprof.records import JsonObject

PRIVATE = ("hostname", "host", "user", "path", "cwd", "uuid", "serial", "repository", "commit", "executable", "home")
FLAT = ("packages",)


@dataclass(frozen=True, slots=True)
class RunFacts:
    """One run: the lines of its environment, its command, the time at which it began."""

    environment: tuple[tuple[str, str], ...]
    command: str
    created: str


def runs(header: JsonObject, *, anonymous: bool = False) -> tuple[RunFacts, ...]:
    """The facts of every run that a header stands for (`runs` where a report joins several)."""
    return tuple(_facts(one, anonymous) for one in header.get("runs") or (header,))


def _facts(header: JsonObject, anonymous: bool) -> RunFacts:
    lines = tuple(_lines(header.get("environment") or {}, "", anonymous))
    command = "" if anonymous else str(header.get("command") or "")
    return RunFacts(lines, command, "" if anonymous else _moment(header.get("created_at")))


def _lines(values: Mapping[str, object], prefix: str, anonymous: bool) -> Iterator[tuple[str, str]]:
    for key, value in values.items():
        if anonymous and any(word in key.lower() for word in PRIVATE):
            continue
        name = f"{prefix}{key}".replace("_", " ")
        if isinstance(value, Mapping):
            yield from _lines(value, "" if key in FLAT else f"{prefix}{key} ", anonymous)
        elif value is not None and value != "" and value != []:
            yield name.removesuffix(" bytes"), _text(key, value)


def _text(key: str, value: object) -> str:
    if key.endswith("_bytes") and isinstance(value, int):
        return units.format_bytes(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.3g}"
    if isinstance(value, list | tuple):
        return ", ".join(str(v) for v in value)
    return str(value)


def _moment(stamp: object) -> str:
    """A time stamp to the minute: `2026-01-02 03:04 UTC`."""
    try:
        found = datetime.fromisoformat(str(stamp))
    except ValueError:
        return str(stamp or "")
    return found.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
