"""The BibTeX entries of the schemes that a report names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from attnprof.errors import unknown
from attnprof.locate import shipped


def known_keys() -> tuple[str, ...]:
    """The keys of `reports/bib/`, sorted: one file each."""
    return tuple(sorted(path.stem for path in (shipped("reports") / "bib").glob("*.bib")))


def entry(key: str) -> str:
    """The BibTeX entry of a key; an error with the closest keys otherwise."""
    path = shipped("reports") / "bib" / f"{key}.bib"
    if not path.is_file():
        raise unknown("BibTeX key", key, known_keys())
    return path.read_text(encoding="utf-8").strip() + "\n"


def bibtex(wanted: Iterable[str]) -> str:
    """The entries of these keys, each once, sorted by key."""
    return "\n".join(entry(key) for key in sorted(set(wanted)))


def cited(targets: Iterable[str], cards: Mapping[str, Mapping[str, object]]) -> dict[str, str]:
    """The key of each target whose card names one that is there, by target."""
    found: dict[str, str] = {}
    known = set(known_keys())
    for target in sorted(set(targets)):
        key = str(cards.get(target, {}).get("bib") or "")
        if key in known:
            found[target] = key
    return found
