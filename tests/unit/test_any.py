"""How much of attnprof is left unchecked: lines of code that say `Any`, which may only become fewer."""

from __future__ import annotations

import io
import tokenize

from attnprof.locate import PACKAGE

MOST = 175


def lines_with_any(text: str) -> set[int]:
    """The lines of a file's code that name `Any`."""
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    return {token.start[0] for token in tokens if token.type == tokenize.NAME and token.string == "Any"}


def test_no_more_is_unchecked_than_was() -> None:
    files = {path: path.read_text() for path in PACKAGE.rglob("*.py")}
    assert sum(len(lines_with_any(text)) for text in files.values() if "Any" in text) <= MOST
