"""The words that a report defines, read from `reports/definitions.toml`."""

from __future__ import annotations

import tomllib
from functools import cache

from attnprof.locate import shipped
from attnprof.quantities import quantity
from attnprof.records import JsonDict


@cache
def definitions() -> JsonDict:
    """Everything in the file: `word` (a list of name and text), and `status` by key."""
    return tomllib.loads((shipped("reports") / "definitions.toml").read_text(encoding="utf-8"))


def metric_title(key: str) -> str:
    """The title of a metric, as panels and table heads write it."""
    return quantity(key).title


def metric_short(key: str) -> str:
    """The name of a metric where there is little room."""
    return quantity(key).short or quantity(key).title


def metric_phrase(key: str) -> str:
    """The name of a metric inside a sentence."""
    return quantity(key).phrase


def status_title(key: str) -> str:
    """The name of a status, as marks and tables write it."""
    return str(definitions()["status"][key]["title"])


def status_text(key: str) -> str:
    """What a status means, in a few words."""
    return str(definitions()["status"][key]["text"])


def status_short(key: str) -> str:
    """The name of a status where there is little room."""
    found = definitions()["status"][key]
    return str(found.get("short", found["title"]))


def state_word(key: str) -> str:
    """The one word of a state of a point."""
    return str(definitions()["state"][key]["word"])


def state_text(key: str) -> str:
    """What a state of a point means, in a few words."""
    return str(definitions()["state"][key]["text"])


def state_glyph(key: str) -> str:
    """The one mark of a state of a point, where a character must do."""
    return str(definitions()["state"][key]["glyph"])


def impl_word(impl: str | None) -> str:
    """What a sentence calls an implementation: its own words for the known ones, else its name."""
    return str(definitions()["impl"].get(impl or "eager", f"by {impl}"))
