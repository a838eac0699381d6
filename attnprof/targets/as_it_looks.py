"""The causality of a user's pattern, seen in its edges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

from attnprof.errors import AttnprofError
from attnprof.pattern import Pattern
from attnprof.pattern.param import accepted
from attnprof.shapes import Shape
from attnprof.targets.scheme import CatalogTarget

LOOKED_AT = (64, 257)
Drawable = TypeVar("Drawable", bound=CatalogTarget)


def as_it_looks(target: Drawable, lengths: Sequence[int] = LOOKED_AT) -> Drawable:
    """A user's pattern with the causality of its own, where its edges have one and it takes no `causal` to choose.

    One that never reads ahead at these lengths has a causal form alone, one that does a bidirectional one alone.
    """
    if target.entry.card.rule or target.entry.draw is None or accepted(target.entry.draw, causal=True):
        return target
    try:
        ahead = any(_reads_ahead(target.graph(Shape(n))) for n in lengths)
    except AttnprofError:
        return target  # it is drawn at other lengths only, or not at all: the command that needs it says so
    card = replace(target.card, causality=(not ahead,))
    return replace(target, entry=replace(target.entry, card=card), reads_ahead=ahead)


def _reads_ahead(pattern: Pattern) -> bool:
    kinds = [pattern.slices(layer, head) for layer in range(pattern.layers) for head in range(pattern.heads)]
    return any(bool((s.start + (s.counts - 1) * s.step > s.row).any()) for s in kinds)
