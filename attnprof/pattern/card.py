"""What a catalogue entry says of its scheme."""

from __future__ import annotations

from dataclasses import dataclass

from attnprof.words import Impl, Maths


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """The facts of a scheme that are not maths: where it comes from, what it claims, where it leaks.

    `causality` lists the settings that the scheme is defined for, the native one first. `maths="pattern"`: the pattern
    is all there is, and what executes edges computes it; `"own"`: `attnprof/schemes/<name>.py` has it, or that of
    `maths_of`. `impls`: the ways to compute another's maths that an entry stands for. `undecoded`: why a causal form
    takes no token more, where it takes none. `cross` allows fewer or more keys than queries, `v_head_dim` values of
    another width than keys, as a pattern alone always does. `growth` is
    the exponent of n that the core's FLOPs, choosing included, follow at the paper's parameters (1.1: n log n);
    None where a quadratic term overtakes at some length, as `complexity_ours` says. Raises `AttnprofError` for maths
    or an implementation that is none.
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
    data_dependent: bool = False
    pattern_of: str = ""
    paper_n: int | None = None
    edges_text: str = ""
    leaks: tuple[str, ...] = ()
    dead_queries: str = ""
    undecoded: str = ""
    notes: tuple[str, ...] = ()
    maths_of: str = ""
    impls: tuple[Impl | str, ...] = ()
    kv_heads: bool = True
    v_head_dim: bool = False
    cross: bool = False
    oracle: str = ""
    instead: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "maths", Maths(self.maths))
        object.__setattr__(self, "impls", tuple(map(Impl, self.impls)))

    @property
    def decode(self) -> bool:
        """Whether it goes on token by token: a causal form does, unless its card says why not."""
        return True in self.causality and not self.undecoded

    @property
    def native_causal(self) -> bool:
        """The causal setting that the paper's own scheme has."""
        return self.causality[0]
