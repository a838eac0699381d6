"""What a step leaves: rows, written as they come, so that a step that is ended keeps them; and what it has to say."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from attnprof.records import plain
from tests.gpu.step import SMALL

ROWS, SAID = "rows.jsonl", "said.json"
Row = Mapping[str, Any]


@dataclass(slots=True)
class Sheet:
    """The desk of one step: its device, its folder, and the time that it may still take.

    `not_built` names features that the step would show and that attnprof does not have yet; `absent` packages that are
    not installed here, each with what is missing for it.
    """

    device: str
    folder: Path
    limit_s: float
    began: float = field(default_factory=time.monotonic)
    not_built: dict[str, str] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    left_out: int = 0
    failed: str = ""

    @property
    def small(self) -> bool:
        """Whether this is a dry run."""
        return self.device == SMALL

    def left_s(self) -> float:
        """Seconds until the limit."""
        return self.limit_s - (time.monotonic() - self.began)

    def spent(self, share: float) -> bool:
        """Whether that share of the limit is over."""
        return self.left_s() < (1 - share) * self.limit_s

    def within(self, items: Iterable[Any], share: float = 0.95) -> Iterator[Any]:
        """The items until that share of the limit is over; the rest are counted as left out."""
        for item in items:
            if self.spent(share):
                self.left_out += 1
            else:
                yield item

    def add(self, row: Row) -> None:
        """Write one row, and say it in the log."""
        text = json.dumps(plain(row), default=str)
        with (self.folder / ROWS).open("a", encoding="utf-8") as file:
            file.write(text + "\n")
        print(text[:400], flush=True)

    def close(self) -> None:
        """Write what is said of the whole step."""
        said = {
            name: getattr(self, name) for name in ("not_built", "absent", "summary", "left_out", "failed")
        }  # the dataclass has slots, and its clock means nothing elsewhere
        (self.folder / SAID).write_text(json.dumps(plain(said), indent=1, default=str), encoding="utf-8")


def rows_of(folder: Path) -> list[dict[str, Any]]:
    """The rows that a step has left, a last one that was cut short left out."""
    file = folder / ROWS
    lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    found = []
    for line in lines:
        try:
            found.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return found


def said_in(folder: Path) -> dict[str, Any]:
    """What a step said of itself; empty where it was ended before."""
    file = folder / SAID
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}


def why(error: BaseException) -> str:
    """An exception as one line."""
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0][:300]}" if text else type(error).__name__
