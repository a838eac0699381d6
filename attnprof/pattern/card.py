"""What a catalogue entry says of its scheme."""

from __future__ import annotations

from dataclasses import dataclass

from attnprof.words import Maths, Runner


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """The facts of a scheme that are not maths: where it comes from, what it claims, where it leaks.

    `causality` lists the settings that the scheme is defined for, the native one first. `maths="pattern"`: the pattern
    is all there is and a runner executes it; `"own"`: `attnprof/schemes/<name>.py` computes it. `cross` allows
    fewer or more keys than queries. `growth` is the exponent of n that the core's FLOPs follow at the paper's
    parameters (1.1 stands for n log n); None where a quadratic term overtakes at some length, which `complexity_ours`
    names. Raises `AttnprofError` for maths or a runner that is none.
    """

    title: str
    bib: str
    survey_class: str
    causality: tuple[bool, ...]
    rule: str
    maths: Maths | str = Maths.PATTERN
    complexity: str = ""
    complexity_ours: str = ""
    growth: float | None = 1.0
    decode: bool = False
    data_dependent: bool = False
    pattern_of: str = ""
    paper_n: int | None = None
    edges_text: str = ""
    leaks: tuple[str, ...] = ()
    dead_queries: str = ""
    notes: tuple[str, ...] = ()
    runners: tuple[Runner | str, ...] = ()
    kv_heads: bool = True
    cross: bool = False
    oracle: str = ""
    instead: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "maths", Maths(self.maths))
        object.__setattr__(self, "runners", tuple(map(Runner, self.runners)))

    @property
    def native_causal(self) -> bool:
        """The causal setting that the paper's own scheme has."""
        return self.causality[0]
