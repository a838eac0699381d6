"""What a model page tells of one model or stack: its layers, and the figures that `cost`, `limit` and `audit` print.

Every figure is one of their answers, or a sum of them; nothing is counted here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cached_property

from attnprof.models.reached import SeenTokens
from attnprof.plan.accelerators import Accelerator
from attnprof.records import JsonObject
from attnprof.render.layout.layer_strip import FoldedRun, StripKind, folded
from attnprof.words import Pass


class CostPart(StrEnum):
    """What FLOPs are spent on, from the bottom of a bar to its top."""

    PROJECTIONS = "projections"
    FFN = "FFN"
    ROUTER = "router"
    HEAD = "head"
    OTHER = "other"
    SELECTION = "selection"
    RECURRENCE = "recurrence"
    CORE = "core"


MIXING = (CostPart.CORE, CostPart.RECURRENCE, CostPart.SELECTION)
PASSES = ("prefill", "train", "decode")


@dataclass(frozen=True, slots=True, kw_only=True)
class PageAsk:
    """What a page is asked: lengths, how weights and caches are kept, over how many devices, and the memory of one."""

    lengths: Sequence[int]
    memory: int
    card: Accelerator | None = None
    dtype: str = "bfloat16"
    kv: str = "bfloat16"
    weights: str = "bfloat16"
    tp: int = 1


@dataclass(frozen=True, slots=True)
class EqualLayers:
    """Layers that are equal: how a strip shows them, where they stand (from 1), and their sizes in words."""

    strip: StripKind
    where: tuple[int, ...]
    sizes: str
    ffn: str
    params: int | None = None


@dataclass(frozen=True, slots=True)
class PassWork:
    """FLOPs of one pass at one length, of one sequence: by part, and of each kind of layers.

    `tokens` computed. What is read of keys counts, of experts what tokens meet; `executed` are the parts of which only
    what a module executes is known.
    """

    tokens: int
    parts: Mapping[CostPart, int]
    groups: tuple[int | None, ...] = ()
    executed: frozenset[CostPart] = frozenset()

    @property
    def total(self) -> int:
        """All of them."""
        return sum(self.parts.values())

    @property
    def mixing(self) -> int:
        """What tokens spend on one another: cores, recurrences, and the choice of keys."""
        return self.of(MIXING)

    def of(self, parts: Iterable[CostPart]) -> int:
        """Some of them together."""
        return sum(self.parts.get(part, 0) for part in parts)

    def passes_ffn(self, parts: Iterable[CostPart]) -> bool | None:
        """Whether these parts cost as much as FFN and router; None where there is no FFN."""
        if not self.parts.get(CostPart.FFN):
            return None
        return self.of(parts) >= self.of((CostPart.FFN, CostPart.ROUTER))


@dataclass(frozen=True, slots=True)
class EngineBytes:
    """What an engine allocates, and what was assumed; None, and why, where that is not known."""

    name: str
    bytes: int | None
    assumed: str = ""
    why: str = ""


@dataclass(frozen=True, slots=True)
class KeptBytes:
    """What a sequence of n tokens keeps: keys, values and states, what one token more adds, of each kind of layers."""

    bytes: int
    a_token: float
    groups: tuple[int | None, ...] = ()
    engines: tuple[EngineBytes, ...] = ()


@dataclass(frozen=True, slots=True)
class FfnPassing:
    """The least n from which attention costs as much as FFN and router: `at`, or else between two lengths.

    `low` is None where they do at the shortest length already, `high` where they do at none; `bare`: there is no FFN.
    """

    at: int | None = None
    low: int | None = None
    high: int | None = None
    bare: bool = False


@dataclass(frozen=True, kw_only=True)
class ModelSubject:
    """One model or stack of a page. `work` by pass and length, `reasons` by what is missing; `short`: in figures.

    `seen` after each layer is that of any length, or of the one length `seen_at`, of which "all" is all.
    `limit` and `bounds` are those of `limit --json`, `frameworks` the rows of `audit --frameworks --json` by length.
    """

    name: str
    source: str
    short: str
    kinds: tuple[EqualLayers, ...]
    work: Mapping[tuple[str, int], PassWork]
    kept: Mapping[int, KeptBytes]
    seen: tuple[SeenTokens, ...] = ()
    seen_at: int | None = None
    params: int | None = None
    active: int | None = None
    passes_ffn_at: int | None = None
    limit: JsonObject = field(default_factory=dict)
    bounds: Sequence[JsonObject] = ()
    frameworks: Mapping[int, Sequence[JsonObject]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    reasons: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def order(self) -> tuple[int, ...]:
        """The kind of each layer, bottom first."""
        at = {layer: k for k, kind in enumerate(self.kinds) for layer in kind.where}
        return tuple(at[layer] for layer in sorted(at))

    @cached_property
    def folded(self) -> list[FoldedRun]:
        """The same, its repeats folded."""
        return folded(self.order)

    @property
    def label(self) -> str:
        """Its name in a figure."""
        return self.short

    @property
    def lengths(self) -> tuple[int, ...]:
        """The lengths at which anything is known."""
        return tuple(sorted({n for _, n in self.work} | set(self.kept)))

    def sees_all(self, *, directly: bool = False) -> int | None:
        """The first layer after which a token sees everything, by way of states of a fixed size or `directly`."""
        found = (k for k, s in enumerate(self.seen, start=1) if s.tokens is None and not (directly and s.through))
        return next(found, None)

    @cached_property
    def selects(self) -> bool:
        """Whether any layer spends FLOPs on the choice of its keys."""
        return any(work.parts.get(CostPart.SELECTION) for work in self.work.values())

    def passing(self, pass_: str, *, selection: bool = True) -> FfnPassing:
        """Where attention passes the FFN in a pass: cores, recurrences, and unless it is left out the choice of keys.

        `cost` knows the exact n of a prefill without selection, and so of a training step.
        """
        if self.passes_ffn_at is not None and pass_ != Pass.DECODE and not (selection and self.selects):
            return FfnPassing(self.passes_ffn_at)
        parts = MIXING if selection else (CostPart.CORE, CostPart.RECURRENCE)
        found = {n: work.passes_ffn(parts) for (p, n), work in sorted(self.work.items()) if p == pass_}
        if not found or None in found.values():
            return FfnPassing(bare=True)
        return FfnPassing(
            low=max((n for n, passed in found.items() if not passed), default=None),
            high=min((n for n, passed in found.items() if passed), default=None),
        )


def distinguished_subjects(subjects: Sequence[ModelSubject]) -> list[ModelSubject]:
    """The subjects, those whose short names are the same numbered."""
    names = [s.short for s in subjects]
    return [
        s if names.count(s.short) == 1 else replace(s, short=f"{s.short} #{names[: k + 1].count(s.short)}")
        for k, s in enumerate(subjects)
    ]
