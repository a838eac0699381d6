"""What a framework's formula says of a model: the answer that every formula's file gives, and what they share.

Formulas are theirs, mistakes included: they are re-derived from the source that each file names, on the sizes of an
architecture. FLOPs are of one token; those of a training step unless `forward`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from attnprof.models.architecture import Architecture, ModelLayer, RecurrentMixer, SoftmaxMixer


@dataclass(frozen=True, slots=True)
class FormulaSource:
    """Whose formula it is, and where it stands: the commit (a release, a paper), the file and line or function."""

    name: str
    commit: str
    line: str


@dataclass(frozen=True, kw_only=True)
class FrameworkEstimate:
    """FLOPs of one token by a framework: the attention core's and all of them; None, and why, where it has none.

    `reasons` are sentences that hold for this model: what the formula takes otherwise than the model does.
    """

    source: FormulaSource
    core: Fraction | None = None
    total: Fraction | None = None
    forward: bool = False
    reasons: tuple[str, ...] = ()


FrameworkFormula = Callable[[Architecture, int], FrameworkEstimate]


def softmaxes(model: Architecture) -> list[SoftmaxMixer]:
    """Every softmax attention, layer by layer."""
    return [mixer for layer in model for mixer in layer.softmaxes]


def recurrences(model: Architecture) -> list[RecurrentMixer]:
    """Every recurrence, layer by layer."""
    return [mixer for layer in model for mixer in layer.recurrences]


def bounded(mixer: SoftmaxMixer) -> bool:
    """Whether it reads a window or a chunk."""
    return mixer.window is not None or mixer.chunk is not None


def widths(mixer: SoftmaxMixer) -> int:
    """h · (d_qk + d_v)."""
    return mixer.heads * (mixer.head_dim + mixer.v_head_dim)


def ffn_weights(layer: ModelLayer) -> int:
    """Weights that a token meets in the FFN, router left out."""
    return layer.ffn.active_weights


def has_router(model: Architecture) -> bool:
    """Whether any layer routes."""
    return any(layer.ffn.router for layer in model)


def reasons_of(*named: tuple[bool, str]) -> tuple[str, ...]:
    """The sentences whose condition holds."""
    return tuple(sentence for holds, sentence in named if holds)


def any_bounded(model: Architecture) -> bool:
    """Whether any attention reads a window or a chunk."""
    return any(bounded(mixer) for mixer in softmaxes(model))


def any_chosen(model: Architecture) -> bool:
    """Whether any attention reads keys that are chosen or pooled."""
    return any(mixer.indexer is not None or mixer.compression is not None for mixer in softmaxes(model))


TWICE = (
    "every query is counted against all n keys, where a causal one reads (n + 1)/2 of them on average: 2× on the core"
)
WINDOWS_FULL = "windows and chunks are counted as full layers"
CHOSEN_FULL = "keys that an indexer chooses are counted as all of them, its scores not at all"
NO_RECURRENCE = "products with recurrent states are not counted"
NO_ROUTER = "the router is not counted"
