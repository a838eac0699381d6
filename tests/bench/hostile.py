"""Damaged and hostile run folders by the thousand: each is read, or is one clear error.

python -m tests.bench.hostile 2000 0        of them so many, from this seed; every twentieth is rendered as a page too
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from attnprof.comparison import compare_runs
from attnprof.errors import AttnprofError
from attnprof.records import Record
from attnprof.store import RunFolder
from tests.fakes.records import SCHEMES, graph, header, records

ODD: tuple[Any, ...] = (
    *(None, 0, -1, -5.5, 1e308, 10**400, 2**70, float("nan"), float("inf"), True),
    *("", "x", "[/boom]", "=1+1", "</script><b>", "\x00", "\ud800", "sideways", "../../etc", "NaN"),
    *([], {}, [[1]], [None], [1, "a"], {"median": 1}),
)
SMALL = (SCHEMES[0], SCHEMES[1], SCHEMES[5])


def lines() -> list[dict[str, Any]]:
    """The records of a small run, as JSON."""
    made: list[Record] = [*records(SMALL, (1024, 4096)), graph("dense")]
    return [record.to_json() for record in made]


def mutated(data: Any, draw: random.Random) -> Any:
    """The same with one thing inside of it changed: a value, a key, a whole part."""
    if isinstance(data, dict) and data and draw.random() < 0.9:
        key = draw.choice(list(data))
        if draw.random() < 0.08:
            return {k: v for k, v in data.items() if k != key}
        return {**data, key: mutated(data[key], draw)}
    if isinstance(data, list) and data and draw.random() < 0.7:
        at = draw.randrange(len(data))
        return [*data[:at], mutated(data[at], draw), *data[at + 1 :]]
    return draw.choice(ODD)


def garbled(text: bytes, draw: random.Random) -> bytes:
    """The same bytes, cut, doubled, overwritten, nested a thousand deep, or with an empty line."""
    at = draw.randrange(max(1, len(text)))
    ways: tuple[Callable[[], bytes], ...] = (
        lambda: text[:at],
        lambda: text[:at] + text[at // 2 :],
        lambda: text[:at] + draw.randbytes(8) + text[at + 8 :],
        lambda: text[:at] + b"[" * 100_000 + text[at:],
        lambda: text + b'{"a":' * 50_000 + b"\n",
        lambda: text[:at] + b"\n" + text[at:],
        lambda: text + b"\n\n",
        lambda: text.replace(b'"schema_version": 2', b'"schema_version": 99', 1),
    )
    return draw.choice(ways)()


def damaged(folder: Path, draw: random.Random) -> Path:
    """A run folder with something wrong in it."""
    folder.mkdir(parents=True)
    head, body = header(calibration=None, cards={}), lines()
    which = draw.random()
    if which < 0.2:
        head = mutated(head, draw)
    elif which < 0.8:
        for _ in range(draw.choice((1, 1, 2, 5))):
            at = draw.randrange(len(body))
            body[at] = mutated(body[at], draw)
    text = "".join(json.dumps(line) + "\n" for line in body).encode("utf-8", "surrogatepass")
    if which >= 0.8:
        text = garbled(text, draw)
    (folder / "records-h-1.jsonl").write_bytes(text)
    (folder / "run.json").write_bytes(json.dumps(head).encode("utf-8", "surrogatepass"))
    return folder


def outcome(folder: Path, sound: list[Record], *, page: bool) -> str:
    """`read` or `refused`. Raises whatever else happens."""
    from attnprof.render.csv_export import points_csv
    from attnprof.render.page import write_page
    from attnprof.render.series import groups

    try:
        run = RunFolder.open(folder)
        found = run.records()
        compare_runs(sound, found)
        points_csv(groups(found))
        if page:
            write_page(folder / "report.html", found, run.header, plotly=False)
    except AttnprofError:
        return "refused"
    return "read"


def main(count: int, seed: int = 0) -> None:
    """Count what comes of so many."""
    draw, tally = random.Random(seed), Counter[str]()
    sound = records(SMALL, (1024, 4096))
    with tempfile.TemporaryDirectory() as place:
        for i in range(count):
            folder = damaged(Path(place) / str(i), draw)
            try:
                tally[outcome(folder, sound, page=i % 20 == 0)] += 1
            except Exception as error:
                last = error.__traceback__
                while last is not None and last.tb_next is not None:
                    last = last.tb_next
                where = f"{Path(last.tb_frame.f_code.co_filename).name}:{last.tb_lineno}" if last else ""
                tally[f"{type(error).__name__} at {where}: {str(error)[:80]}"] += 1
    for what, times in tally.most_common():
        print(f"{times:6} {what}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:] or ["2000"]))
