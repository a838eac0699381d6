"""The mark of choosing: products inside `selecting()` are what a scheme spends to choose what it reads.

A hash, a gate, an indexer or a routing says so in its own code, and whoever counts books its products, and their
backward, as selection: beside the core and the projections, never in them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol


class SelectionWatcher(Protocol):
    """Who wants to know when choosing begins and ends."""

    def began(self) -> None:
        """What runs from now on chooses."""
        ...

    def ended(self) -> None:
        """It does not any more."""
        ...


_watchers: ContextVar[tuple[SelectionWatcher, ...]] = ContextVar("selection_watchers", default=())


@contextmanager
def selecting() -> Iterator[None]:
    """Around everything that a scheme computes to choose; may be nested."""
    watchers = _watchers.get()
    for watcher in watchers:
        watcher.began()
    try:
        yield
    finally:
        for watcher in watchers:
            watcher.ended()


@contextmanager
def watching(watcher: SelectionWatcher) -> Iterator[None]:
    """Tell a watcher of every choosing in here."""
    token = _watchers.set((*_watchers.get(), watcher))
    try:
        yield
    finally:
        _watchers.reset(token)
