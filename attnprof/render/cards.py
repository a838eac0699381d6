"""What is known of the schemes that records name: from the header of the run, else from the catalogue."""

from __future__ import annotations

from collections.abc import Iterable

from attnprof.records import JsonDict, JsonObject, plain
from attnprof.targets import catalog


def cards(targets: Iterable[str], header: JsonObject) -> dict[str, JsonDict]:
    """The card of each target that has one, as plain data: a run remembers its own under `cards`."""
    kept = header.get("cards") or {}
    known = set(catalog.names())
    found: dict[str, JsonDict] = {}
    for target in sorted(set(targets)):
        if target in kept:
            found[target] = dict(kept[target])
        elif target in known:
            found[target] = plain(catalog.entry(target).card)
    return found
