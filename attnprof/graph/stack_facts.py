"""What `graph` finds of a stack beside the metrics of any pattern: reach by layer, distances, horizon, borders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from attnprof.contracts import SchemeTarget
from attnprof.graph.differing import differences
from attnprof.graph.horizon import horizons
from attnprof.graph.layered import LayeredRelation
from attnprof.graph.metrics.mixing import LARGEST, unweighed
from attnprof.graph.offsets import offsets
from attnprof.graph.reach import LayerReach
from attnprof.graph.subject import Subject
from attnprof.layered_target import LayeredTarget, StackGroup
from attnprof.pattern import Kernel
from attnprof.records import JsonDict, plain
from attnprof.shapes import Shape

MOST_DEPTHS = 6
MOST_COMPARED = 64


def stack_facts(target: LayeredTarget, shape: Shape, subject: Subject) -> JsonDict:
    """`layers`: each layer of the stack, what it is and what is reached after it; `period`: how it repeats and is cut;
    `offsets`: what is reached by distance after some of them; `horizon`: how far back influence comes from.
    """
    names = named_layers(target, shape)[: subject.ask.layers]
    layers = reached_layers(target, shape, subject)
    full = subject.reach.layers_to_full
    chosen = depths_of([group.label for group, _ in names], full)
    found, whole = offsets(subject.stack, [at for at in chosen if full is None or at <= full])
    why = unweighed(subject) or (f"computed up to n = {LARGEST}" if subject.n > LARGEST else "")
    return {
        "layers": layers,
        "period": period_of([group.label for group, _ in names]),
        "offsets": plain(found),
        "offsets_exact": whole,
        "horizon": None if why else plain([each for k in chosen for each in horizons(subject.stack, k)]),
        "reasons": {"horizon": why} if why else {},
    }


def reached_layers(target: LayeredTarget, shape: Shape, subject: Subject) -> list[JsonDict]:
    """Each layer that was looked at: what it is, the state that it goes through, and what is reached after it."""
    reach = {entry.layer: entry for entry in subject.reach.layers}
    layers: list[JsonDict] = []
    last: LayerReach | None = None
    for number, (group, through) in enumerate(named_layers(target, shape)[: subject.ask.layers], start=1):
        last = reach.get(number, last)
        layers.append(_layer(number, group, through, last))
    return layers


def named_layers(target: LayeredTarget, shape: Shape) -> list[tuple[StackGroup, int | None]]:
    """The layers of the graph, bottom first: the group of each, and the numbers of the state that it goes through.

    Layers without a mixer are none; a scheme that is several layers by itself is as many.
    """
    at = {number: group for group in target.groups(shape) for number in group.layers}
    found: list[tuple[StackGroup, int | None]] = []
    for number in sorted(at):
        group = at[number]
        if group.mixer is not None:
            found += [(group, _state(group, shape.n))] * group.mixer.layers
    return found


def _state(group: StackGroup, n: int) -> int | None:
    """The numbers that all past tokens are held in, of a layer that is a kernel; None of any other.

    As its pattern file states them, or heads x rank x d_v of the matrix that a kernel of bounded rank is carried by.
    """
    if not isinstance(group.mixer, SchemeTarget):
        return None
    kernels = list(map(group.mixer.graph(group.shape).expr, range(group.mixer.layers)))
    ranks = [expr.rank for expr in kernels if isinstance(expr, Kernel)]
    if len(ranks) < len(kernels):
        return None
    stated = group.mixer.state_numbers(group.shape, n)
    return group.shape.heads * max(ranks) * group.shape.d_v if stated is None else stated


def _layer(number: int, group: StackGroup, through: int | None, reach: LayerReach | None) -> dict[str, object]:
    tokens = {} if reach is None else {"min": reach.min, "mean": reach.mean, "max": reach.max, "share": reach.share}
    return {"layer": number, "label": group.label, "state_numbers": through, **tokens}


def depths_of(labels: Sequence[str], full: int | None) -> list[int]:
    """After which layers distances are looked at: the ends of the first runs of equal layers, full reach, the last."""
    ends = [at for at in range(1, len(labels)) if labels[at] != labels[at - 1]]
    if full is not None:
        ends = [at for at in ends if at < full] + [full]
    return sorted({*ends[:MOST_DEPTHS], len(labels)})


def period_of(labels: Sequence[str]) -> dict[str, int]:
    """The least number of layers after which they repeat, how often they do in full, and how many of a cut one follow.

    `cut` above 0 says that the stack ends within its period.
    """
    count = len(labels)
    size = next(p for p in range(1, count + 1) if all(labels[at] == labels[at - p] for at in range(p, count)))
    return {"size": size, "whole": count // size, "cut": count % size}


def differing(
    subject: Subject, other: LayeredRelation, name: str, depths: tuple[int | None, int | None], asked: int | None
) -> Mapping[str, object]:
    """What only one of two patterns reaches, layer by layer, up to where both have all that they ever have."""
    stated = [depth for depth in depths if depth is not None]
    most = min(asked or max(stated, default=subject.depth), MOST_COMPARED)
    found, whole = differences(subject.stack, other, depths, most)
    return {"target": name, "layers": plain(found), "exact": whole}
