"""Global tokens, and what is left of the reach without them."""

from __future__ import annotations

import numpy as np

from attnprof.graph.blocked import Blocked
from attnprof.graph.ladder import solve
from attnprof.graph.reach import Ask, Reach
from attnprof.graph.stack import Part, Slotted, Stack
from attnprof.graph.subject import Facts, Subject
from attnprof.pattern import Slices
from attnprof.pattern.slices import Bools

MOST_HUBS = 4
NAMED = 8
DEPTH = 64


def hubs(subject: Subject) -> Facts:
    """Tokens that all later tokens read, or that read all: how many, which, and the reach with them taken out."""
    found = hub_tokens(subject.stack)
    count = int(found.sum())
    values: dict[str, object] = {"hubs": count, "hubs_at": np.flatnonzero(found)[:NAMED].tolist()}
    if count == 0:
        return Facts({**values, "without_globals": None}, reasons={"without_globals": "there are no global tokens"})
    rest = reach_without(subject.stack, found, subject.ask)
    values["without_globals"] = {
        "n": rest.n,
        "reach": [
            {"layer": e.layer, "min": e.min, "mean": e.mean, "max": e.max, "share": e.share} for e in rest.layers
        ],
        "layers_to_full": rest.layers_to_full,
        "closed": rest.closed,
        "mean_hops": rest.mean_hops,
        "engine": rest.engine,
    }
    return Facts(values, {"without_globals": rest.certainty})


def hub_tokens(stack: Stack) -> Bools:
    """Tokens with a full row or column in every layer, `[n]`; none where over a quarter have one (a dense mask)."""
    n = stack.n
    found = np.ones(n, dtype=np.bool_)
    for part in stack.parts:
        found &= np.zeros(n, dtype=np.bool_) if isinstance(part, Slotted) else _full(stack, part)
    return found if found.sum() <= n // MOST_HUBS else np.zeros(n, dtype=np.bool_)


def _full(stack: Stack, part: Slices | Blocked) -> Bools:
    n = stack.n
    if not stack.causal:
        return (part.in_degree() == n) | (part.out_degree() == n)
    early = np.arange(n) < n // 2
    return early & (part.in_degree() == n - np.arange(n))


def reach_without(stack: Stack, gone: Bools, ask: Ask) -> Reach:
    """The reach among the other tokens once some are removed with all their edges, up to 64 layers."""
    layers = DEPTH if ask.layers is None else ask.layers
    return solve(without(stack, gone), Ask(layers, ask.side, ask.threads, ask.seed))


def without(stack: Stack, gone: Bools) -> Stack:
    """The stack over the tokens that are left, renumbered."""
    parts = tuple(_removed(part, gone) for part in stack.parts)
    return Stack(int((~gone).sum()), parts, stack.declared or stack.causal)


def _removed(part: Part, gone: Bools) -> Slices | Blocked:
    assert not isinstance(part, Slotted)
    if not isinstance(part, Blocked):
        return remove(part, gone)
    whole = gone.reshape(-1, part.size)
    if bool((whole.all(axis=1) == whole.any(axis=1)).all()):
        return Blocked(part.size, remove(part.blocks, whole[:, 0]), part.causal)
    return remove(part.tokens(), gone)


def remove(slices: Slices, gone: Bools) -> Slices:
    """The relation without the rows and columns of some tokens, the others renumbered in order."""
    place = np.concatenate([[0], np.cumsum(~gone)])
    left = int(place[-1])
    live = slices.take(~gone[slices.row])
    plain = live.take(live.step == 1)
    kept = Slices.of(left, place[plain.row], place[plain.start], place[plain.stop])
    if bool((live.step == 1).all()):
        return kept
    wide = live.take(live.step > 1)
    first, end = int(np.argmin(gone)), len(gone) - int(np.argmin(gone[::-1]))
    if not gone[first:end].any():
        skipped = np.maximum(0, -((wide.start - first) // wide.step)) * wide.step
        start, stop = wide.start + skipped - first, np.minimum(wide.stop, end) - first
        return kept.joined(Slices.of(left, place[wide.row], start, stop, wide.step))
    row, key = np.repeat(wide.row, wide.counts), wide.csr()[1]
    stays = ~gone[key]
    return kept.joined(Slices.from_pairs(left, place[row[stays]], place[key[stays]]))
