"""The sections of a page, in order: one template each, and what has to be there for it to be shown."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Context = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Section:
    """One section: what links to it, its name among the contents, and whether a page has anything to show in it.

    Its template is `sections/<anchor>.html.j2` of `reports/templates`, unless another is named.
    """

    anchor: str
    title: str
    shows: Callable[[Context], bool] = lambda context: True
    source: str = ""

    @property
    def template(self) -> str:
        """The template's name."""
        return self.source or f"sections/{self.anchor}.html.j2"


def _has(name: str) -> Callable[[Context], bool]:
    return lambda context: bool(context[name])


SECTIONS: tuple[Section, ...] = (
    Section("findings", "Findings", _has("findings")),
    Section("figures", "Figures", _has("figures")),
    Section("crossovers", "Crossovers", _has("verdicts")),
    Section("points", "All points", _has("rows")),
    Section("patterns", "Patterns", _has("pictures")),
    Section("words", "Words"),
    Section("environment", "Environment"),
    Section("cite", "Cite"),
)
