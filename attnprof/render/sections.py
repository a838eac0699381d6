"""The sections of a page below its first screen, in order: one template each, and what has to be there to show it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

Context = Mapping[str, object]


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
    Section("schemes", "Schemes", _has("first")),
    Section("curves", "Curves", _has("first")),
    Section("difference", "Difference", _has("first")),
    Section("cards", "Cards", _has("cards")),
    Section("measured", "Not measured"),
    Section("points", "Points", _has("points")),
    Section("cite", "Cite"),
)
