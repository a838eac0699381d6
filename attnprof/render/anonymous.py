"""Records without what could tell who made them: paths and host names in reasons and targets."""

from __future__ import annotations

import dataclasses
import re
import socket
from collections.abc import Iterable

from attnprof.model import Record

PATH = re.compile(r"(?:[A-Za-z]:)?(?:[/\\][\w.@~+-]+){2,}[/\\]?|~/[\w./@+-]+")
ADDRESS = re.compile(r"\b[\w.+-]+@[\w-]+(\.[\w-]+)+\b|GPU-[0-9a-fA-F-]{8,}")


def anonymised(records: Iterable[Record]) -> list[Record]:
    """The records with paths, addresses, device identifiers and this host's name cut out of their texts."""
    return [_without(record) for record in records]


def scrubbed(text: str) -> str:
    """A text without paths, addresses, device identifiers and this host's name."""
    host = socket.gethostname()
    cut = ADDRESS.sub("[removed]", PATH.sub("[path]", text))
    return cut.replace(host, "[host]") if len(host) > 3 else cut


def _without(record: Record) -> Record:
    reasons = {key: scrubbed(text) for key, text in record.reasons.items()}
    flags = tuple(scrubbed(flag) for flag in record.flags)
    point = dataclasses.replace(record.point, target=_name(record.point.target))
    return dataclasses.replace(record, point=point, reasons=reasons, flags=flags)


def _name(target: str) -> str:
    """A target's name without the folders of a file."""
    return re.split(r"[/\\]", target)[-1]
