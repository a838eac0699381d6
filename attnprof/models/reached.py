"""How far back a model's layers let a token see, layer by layer, from the sizes of their windows alone.

A window adds w − 1 tokens to what is seen, a full layer sees everything, a recurrence everything through a state of so
many numbers, a chunk its own chunk. What is seen is that of a late token, itself included.
"""

from __future__ import annotations

from dataclasses import dataclass

from attnprof.models.architecture import Architecture, ModelLayer


@dataclass(frozen=True, slots=True)
class SeenTokens:
    """Tokens seen at most after some layers, None for all of them; `through` is the state that they come through.

    `at_most` where a chunk cuts: tokens near its start see fewer.
    """

    tokens: int | None
    through: int | None = None
    at_most: bool = False

    def __str__(self) -> str:
        if self.tokens is None:
            return "all" if self.through is None else f"all, through a state of {self.through:,} numbers"
        return f"{'at most ' if self.at_most else ''}{self.tokens:,}"


def seen_after(model: Architecture) -> list[SeenTokens]:
    """What is seen after each layer."""
    seen, found = SeenTokens(1), []
    chunks: set[int] = set()
    for layer in model:
        seen = _after(layer, seen, chunks)
        found.append(seen)
    return found


def _after(layer: ModelLayer, seen: SeenTokens, chunks: set[int]) -> SeenTokens:
    if seen.tokens is None and seen.through is None:
        return seen
    for mixer in layer.softmaxes:
        if (mixer.window is None and mixer.chunk is None) or mixer.compression is not None:
            return SeenTokens(None)
    states = [mixer.state_elements for mixer in layer.recurrences if mixer.state_elements]
    if states:
        return SeenTokens(None, max(states))
    return seen if seen.tokens is None else _further(layer, seen.tokens, chunks, at_most=seen.at_most)


def _further(layer: ModelLayer, tokens: int, chunks: set[int], *, at_most: bool) -> SeenTokens:
    """What windows, chunks and convolutions add; layers of one chunk see no further than it, however many."""
    for mixer in layer.softmaxes:
        if mixer.window is not None:
            tokens += (mixer.window - 1) * (1 if mixer.causal else 2)
        elif mixer.chunk is not None:
            chunks.add(mixer.chunk)
            alone = chunks == {mixer.chunk} and tokens <= mixer.chunk
            tokens = mixer.chunk if alone else tokens + mixer.chunk - 1
            at_most = True
    tokens += sum(mixer.conv_kernel - 1 for mixer in layer.recurrences)
    return SeenTokens(tokens, at_most=at_most)
