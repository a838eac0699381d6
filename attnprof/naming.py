"""Names that tell targets apart: two classes of one name, or two files of one stem, stay two in tables and pages."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePath

_STACK = re.compile(r"^\s*\d|[\s+;()]")


def is_stack_text(text: str) -> bool:
    """Whether a text is that of a stack: it begins with a count, or has a blank or a mark, and is no path or code."""
    if not _STACK.search(text) or text.startswith("hf:"):
        return False
    file, colon, _ = text.rpartition(":")
    return not path_exists(text) and not (colon and path_exists(file))


def path_exists(text: str) -> bool:
    """Whether a text is the path of something that is there; one that is too long for a path is not."""
    try:
        return Path(text).exists()
    except (OSError, ValueError):
        return False


def short_name(text: str) -> str:
    """What a target is called where nothing else has that name: a scheme, the stem of a file, an attribute, a stack."""
    if is_stack_text(text):
        return text
    return re.split(r"[:/\\]", text)[-1].removesuffix(".py")


def distinguished(texts: Iterable[str], taken: Iterable[str] = ()) -> dict[str, str]:
    """A name for each text that finds a target: the shortest that no other of them has, and no name of `taken`.

    A scheme of the catalogue, whose text is one of `taken`, keeps its name.
    """
    reserved, found = set(taken), dict.fromkeys(texts)
    names: dict[str, str] = {}
    for text in found:
        others = {other for other in found if other != text}
        names[text] = text if text in reserved else _shortest(text, others, reserved)
    return names


def _shortest(text: str, others: set[str], reserved: set[str]) -> str:
    for name in _names(text):
        if name not in reserved and all(name not in _names(other) for other in others):
            return name
    return text


def _names(text: str) -> Sequence[str]:
    """What a text may be called, the shortest first: its attribute or stem, then longer and longer ends of its path."""
    if is_stack_text(text):
        return (text,)
    file, colon, attribute = text.rpartition(":")
    path = PurePath(file if colon else text)
    tail = f":{attribute}" if colon else ""
    ends = ["/".join(path.parts[-k:]) + tail for k in range(1, len(path.parts) + 1)]
    return (short_name(text), *ends, text)


def by_source(pairs: Iterable[tuple[str, str | None]]) -> Mapping[tuple[str, str | None], str]:
    """A name for each pair of a recorded name and source: the name itself, unless another source has it too."""
    found = list(dict.fromkeys(pairs))
    several = {name for name, _ in found if len({source for other, source in found if other == name}) > 1}
    sources = [source for name, source in found if name in several and source]
    longer = distinguished(sources, [name for name, source in found if name in several])
    return {(name, source): longer[source] if source and name in several else name for name, source in found}
