"""What an engine allocates for sequences of a model: the answer that every engine's file gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from attnprof.models.architecture import Architecture
from attnprof.models.caches import CacheAsk

Assumed = int | float | str


@dataclass(frozen=True, kw_only=True)
class PoolRow:
    """One group of layers that an engine allocates alike: what it is, how many layers, tokens or states, bytes."""

    kind: str
    layers: int
    padding: int = 0
    tokens: int | None = None
    bytes: int


@dataclass(frozen=True, kw_only=True)
class EngineAnswer:
    """Bytes that an engine allocates on one device, by group, and what was assumed; None, and why, where it cannot.

    `source` is where its rule stands, `defaults` where the values of assumptions do that are neither asked for nor
    derived: file and commit.
    """

    name: str
    bytes: int | None
    source: str
    assumptions: Mapping[str, Assumed] = field(default_factory=dict)
    defaults: Mapping[str, str] = field(default_factory=dict)
    rows: tuple[PoolRow, ...] = ()
    why: str = ""


EngineRule = Callable[[Architecture, CacheAsk], EngineAnswer]


def ceil_div(value: int, unit: int) -> int:
    """⌈value / unit⌉."""
    return -(-value // unit)
