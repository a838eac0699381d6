"""Records without what could tell who made them: paths and host names in reasons and targets."""

from __future__ import annotations

import dataclasses
import re
import socket
from collections.abc import Iterable, Sequence

from attnprof.records import Record

PATH = re.compile(r"(?:[A-Za-z]:)?(?:[/\\][\w.@~+-]+){2,}[/\\]?|~/[\w./@+-]+")
ADDRESS = re.compile(r"\b[\w.+-]+@[\w-]+(\.[\w-]+)+\b|GPU-[0-9a-fA-F-]{8,}")


def anonymised(records: Iterable[Record]) -> list[Record]:
    """The records with paths, addresses, device identifiers and this host's name cut out of their texts."""
    found = list(records)
    names = _names([record.point.target for record in found])
    return [_without(record, names[record.point.target]) for record in found]


def scrubbed(text: str) -> str:
    """A text without paths, addresses, device identifiers and this host's name."""
    host = socket.gethostname()
    cut = ADDRESS.sub("[removed]", PATH.sub("[path]", text))
    return cut.replace(host, "[host]") if len(host) > 3 else cut


def _names(targets: Sequence[str]) -> dict[str, str]:
    """Targets without the folders of a file, numbered where that leaves two with one name."""
    short = {target: _name(target) for target in dict.fromkeys(targets)}
    alike = {name: [t for t in short if short[t] == name] for name in short.values()}
    return {
        target: name if len(alike[name]) == 1 else f"{name} ({alike[name].index(target) + 1})"
        for target, name in short.items()
    }


def _without(record: Record, target: str) -> Record:
    reasons = {key: scrubbed(text) for key, text in record.reasons.items()}
    flags = tuple(scrubbed(flag) for flag in record.flags)
    source = None if record.point.source is None else _name(record.point.source)
    impl = None if record.point.impl is None else _name(record.point.impl)
    point = dataclasses.replace(record.point, target=target, source=source, impl=impl)
    return dataclasses.replace(record, point=point, reasons=reasons, flags=flags)


def _name(target: str) -> str:
    """A target's name without the folders of a file."""
    return re.split(r"[/\\]", target)[-1]
