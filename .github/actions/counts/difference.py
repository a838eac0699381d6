"""The difference of two answers of `attnprof cost --json`, base and head, as a comment in Markdown.

Standard library only. Exits with 4 where a count has changed, with 0 where none has.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

MARK = "<!-- attnprof counts -->"
COLUMNS = {
    "flops_executed": "FLOPs",
    "flops_core_executed": "core FLOPs",
    "exp_ops": "transcendental ops",
    "saved_bytes": "saved bytes",
    "peak_bytes": "peak bytes",
    "param_bytes": "parameter bytes",
    "state_bytes": "state bytes",
}
CHANGED = 4

Point = tuple[str, int, str]


def points(answer: Mapping[str, Any]) -> dict[Point, Mapping[str, Any]]:
    """The rows of an answer by target, length and pass."""
    targets = answer.get("targets", [answer] if "table" in answer else [])
    return {(each["target"], row["n"], row["pass"]): row for each in targets for row in each["table"]}


def rows(base: Mapping[Point, Mapping[str, Any]], head: Mapping[Point, Mapping[str, Any]]) -> Iterator[tuple[str, ...]]:
    """Every count that differs: target, n, pass, quantity, before, after, change."""
    for point in sorted({*base, *head}):
        target, n, pass_ = point
        old, new = base.get(point), head.get(point)
        for key, title in COLUMNS.items():
            before, after = (None if row is None else row.get(key) for row in (old, new))
            if before != after:
                yield (
                    target,
                    f"{n:,}",
                    pass_,
                    title,
                    told(before, old is None),
                    told(after, new is None),
                    change(before, after),
                )


def told(value: int | None, absent: bool) -> str:
    """A count for a reader."""
    return "not there" if absent else "not known" if value is None else f"{value:,}"


def change(before: int | None, after: int | None) -> str:
    """The change in per cent, where there is one."""
    return f"{after / before - 1:+.2%}" if before and after is not None else ""


def comment(base: Mapping[str, Any], head: Mapping[str, Any]) -> tuple[str, bool]:
    """The comment, and whether anything has changed."""
    old, new = points(base), points(head)
    changed = list(rows(old, new))
    targets = ", ".join(f"`{name}`" for name in dict.fromkeys(target for target, _, _ in sorted(new or old)))
    if not changed:
        return f"{MARK}\n**Counts of {targets}**: {len(new)} points, none has changed.\n", False
    lines = [
        MARK,
        f"**Counts of {targets}**: {len({row[:3] for row in changed})} of {len({*old, *new})} points have changed.",
        "",
        "| target | n | pass | quantity | base | head | change |",
        "|---|--:|---|---|--:|--:|--:|",
        *(f"| {' | '.join(row)} |" for row in changed),
        "",
        "Counts are exact (a multiply-add is 2 FLOPs), so each change is one of the code or of torch.",
    ]
    return "\n".join(lines) + "\n", True


def read(path: str) -> Mapping[str, Any]:
    """An answer; an empty one where a command could not give any."""
    text = Path(path).read_text()
    return json.loads(text) if text.strip() else {}


def main(base: str, head: str) -> int:
    """Print the comment."""
    text, changed = comment(read(base), read(head))
    print(text, end="")
    return CHANGED if changed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
