"""The way of a target through the rooms: it goes downwards, and returns to few rooms that it has left."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from types import FrameType

import pytest

from attnprof.cli.main import cli
from attnprof.graph import analyze
from attnprof.locate import PACKAGE
from attnprof.targets import door
from attnprof.targets.scheme import CatalogTarget

MOST = 3


def holds(value: object) -> bool:
    """Whether a value is the target, or a record one of whose fields is."""
    if isinstance(value, CatalogTarget) or not dataclasses.is_dataclass(value) or isinstance(value, type):
        return isinstance(value, CatalogTarget)
    return any(isinstance(getattr(value, field.name, None), CatalogTarget) for field in dataclasses.fields(value))


def walk(run: Callable[[], object]) -> list[str]:
    """The rooms whose functions are handed the target, in the order of their first calls; what it is asked itself is
    no step, since a target answers wherever it is."""
    seen: dict[tuple[str, str], None] = {}

    def note(frame: FrameType, event: str, _: object) -> None:
        code = frame.f_code
        if event == "call" and code.co_filename.startswith(f"{PACKAGE}/") and not code.co_name.startswith("<"):
            names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
            own = names[:1] == ("self",) and isinstance(frame.f_locals["self"], CatalogTarget)
            if not own and any(holds(frame.f_locals.get(name)) for name in names):
                seen[code.co_filename, code.co_qualname] = None

    sys.setprofile(note)
    try:
        run()
    finally:
        sys.setprofile(None)
    rooms = [Path(file).relative_to(PACKAGE).parts[0].removesuffix(".py") for file, _ in seen]
    return [room for before, room in pairwise(["", *rooms]) if room != before]


def returns(rooms: list[str]) -> list[str]:
    """Rooms that are entered again after they were left."""
    return [room for at, room in enumerate(rooms) if room in rooms[:at]]


def cost() -> None:
    """The command up to its counted totals."""
    words = ["longformer", "--lengths", "256", "--no-forms", "--no-cache", "--json"]
    cli.main(["cost", *words], standalone_mode=False)


def graph() -> None:
    """All metrics of a graph."""
    analyze(door.find("longformer"), 256)


@pytest.mark.parametrize(("run", "first", "last"), [(cost, "cli", "counting"), (graph, "graph", "graph")])
def test_a_target_returns_to_few_rooms(run: Callable[[], None], first: str, last: str) -> None:
    rooms = walk(run)
    assert rooms[0] == first
    assert last in rooms
    assert len(returns(rooms)) <= MOST, rooms
