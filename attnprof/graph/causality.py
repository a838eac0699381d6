"""What was asked about the future, and what the edges say: a leak is never left to the reader to find."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from attnprof.graph.layered import LayeredRelation
from attnprof.graph.relation import FutureEdges
from attnprof.graph.token_edges import TokenEdges
from attnprof.pattern import Slices


@dataclass(frozen=True, slots=True)
class Seen:
    """How the edges were come by: `how` limits what is said of them; `sure` are certain where the others may not be."""

    asked: bool | None
    native: bool | None = None
    how: str = ""
    sure: Slices | None = None


def causality(stack: LayeredRelation, seen: Seen) -> dict[str, object]:
    """What was asked, what was found, and the leak where both disagree, by their JSON keys.

    `causal_asked`: True, False, or None where nothing was asked and the scheme has no form of its own. `causal_found`:
    no edge reads the future; None where that cannot be told. `leak`: the edges to the future where there should be
    none, layer by layer. `causality` says all of it in a line. `pairs` are those that shares are taken of.
    """
    due = stack.declared
    layers = [part.future() for part in stack.parts]
    certain = [TokenEdges(seen.sure).future()] if seen.sure is not None else layers
    leaks, clean = any(each.count for each in certain), not stack.reads_future
    found = None if not clean and not leaks else clean
    asked = seen.asked if seen.asked is not None else seen.native
    leak = _leak(certain, seen) if due and leaks else None
    return {
        "causal": stack.causal,
        "causal_asked": asked,
        "causal_found": found,
        "future_edges": sum(each.count for each in layers) if seen.sure is None else None,
        "leak": leak,
        "causality": f"asked: {_asked(seen)}; found: {_found(stack, found, leak, seen)}",
        "pairs": stack.pairs,
        "pairs_of": "past" if stack.causal else "all",
    }


def _leak(layers: list[FutureEdges], seen: Seen) -> dict[str, object]:
    found = [(at + 1, each) for at, each in enumerate(layers) if each.count]
    rows = [{"layer": at, "edges": each.count, "first": [list(pair) for pair in each.first]} for at, each in found]
    number, first = found[0]
    named = ", ".join(f"{query} reads {key}" for query, key in first.first)
    kind = "causal was asked for" if seen.asked else "its own form is causal"
    of = f" of layer {number}" if len(layers) > 1 else ""
    text = f"LEAK: {kind}, but {first.count:,} edges{of} read the future{seen.how}, first {named}"
    return {"layers": rows, "text": text}


def _asked(seen: Seen) -> str:
    if seen.asked is not None:
        return _word(seen.asked)
    return "not given" if seen.native is None else f"not given, its own form is {_word(seen.native)}"


def _word(causal: bool) -> str:
    return "causal" if causal else "bidirectional"


def _found(stack: LayeredRelation, found: bool | None, leak: Mapping[str, object] | None, seen: Seen) -> str:
    if leak is not None:
        return f"a leak; shares are of all n x n pairs{seen.how}"
    if found is None:
        return "not known: partial tiles may hide edges to the future; shares are of all n x n pairs"
    if not found:
        return f"bidirectional{seen.how}"
    return f"causal, no edge to the future{seen.how}" if stack.causal else f"no edge between different tokens{seen.how}"
