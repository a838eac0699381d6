"""A pattern in the formats of other tools: CSR on disk, a networkx graph."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from attnprof.errors import AttnprofError
from attnprof.graph.subject import Subject
from attnprof.pattern import Kernel, Slices
from attnprof.units import counted

if TYPE_CHECKING:
    import networkx

MOST_CSR = 200_000_000
MOST_DIGRAPH = 2_000_000


def chosen_edges(subject: Subject, layer: int | None = None, head: int | None = None) -> tuple[Slices, str]:
    """The edges of one layer and head, both counted from 1, as one relation, and in words what it is.

    Without a layer those of all layers united (of layers that are drawn alike: of the first), without a head those of
    all heads. Raises `AttnprofError` for a layer or head that there is not, and where tokens meet in slots or a kernel.
    """
    pattern = subject.pattern
    for name, value, most in (("layer", layer, pattern.layers), ("head", head, pattern.heads)):
        if value is not None and not 1 <= value <= most:
            raise AttnprofError(f"{pattern.name} has no {name} {value}", hint=f"counted from 1: 1 to {most}")
    drawn = layer is None and any(kind.drawn for kind in subject.layer_kinds)
    layers = [kind.layers[0] - 1 for kind in subject.layer_kinds] if layer is None else [layer - 1]
    heads = range(pattern.heads) if head is None else [head - 1]
    parts = {id(part): part for part in (_edges_of(subject, at, one) for at in layers for one in heads)}
    first, *rest = parts.values()
    named = ", ".join(str(at + 1) for at in layers) if drawn or layer else None
    words = [_which("layer", named, pattern.layers), _which("head", head, pattern.heads)]
    text = ", ".join([*words, *(["each layer is drawn anew"] if drawn else [])])
    return first.joined(*rest).disjoint() if rest else first, f"{pattern.name} at n = {pattern.n}: {text}"


def _which(name: str, chosen: int | str | None, count: int) -> str:
    if count == 1:
        return f"its one {name}"
    return f"{counted(count, name)} united" if chosen is None else f"{name} {chosen} of {count}"


def _edges_of(subject: Subject, layer: int, head: int) -> Slices:
    name = f"layer {layer + 1} of {subject.pattern.name}"
    part = subject.part(layer, head)
    plain = [kind for kind in subject.layer_kinds if not any(_other(subject, *at[:2]) for at in kind.heads)]
    hint = f"--csr-layer {plain[0].layers[0]} has edges alone" if plain else "leave --csr out"
    if isinstance(subject.pattern.expr(layer, head), Kernel):
        raise AttnprofError(f"{name} is a kernel, which reaches every token without an edge", hint=hint)
    if part.ways is not None:
        raise AttnprofError(f"in {name} tokens meet in slots, which edges between them do not show", hint=hint)
    return part.tokens()


def _other(subject: Subject, layer: int, head: int) -> bool:
    return subject.part(layer, head).ways is not None or isinstance(subject.pattern.expr(layer, head), Kernel)


def save_csr(slices: Slices, path: Path, what: str = "") -> None:
    """The adjacency as `.npz` with indptr, indices, data and shape, which `scipy.sparse.load_npz` reads as well.

    `what` says in words what the edges are of, and stands in the file under `of`. Raises `AttnprofError` above 200
    million edges.
    """
    if slices.edges > MOST_CSR:
        raise AttnprofError(
            f"{slices.edges:,} edges are more than a CSR file should hold ({MOST_CSR:,})",
            hint="choose a shorter --n; the slices themselves need no more than a few numbers a row",
        )
    indptr, indices = slices.csr()
    held = {"indptr": indptr, "indices": indices, "data": np.ones(len(indices), dtype=np.bool_)}
    with path.open("wb") as file:
        np.savez_compressed(file, **held, shape=(slices.n, slices.m), format=np.array(b"csr"), of=np.array(what))


def digraph(slices: Slices) -> networkx.DiGraph:
    """The edges as a `networkx.DiGraph`, i -> j where query i reads key j. Raises `AttnprofError` above 2 million."""
    import networkx

    if slices.edges > MOST_DIGRAPH:
        raise AttnprofError(
            f"{slices.edges:,} edges would take about {slices.edges * 240 / 1e9:.1f} GB as a DiGraph",
            hint=f"up to {MOST_DIGRAPH:,} edges are exported; CSR has no such limit",
        )
    indptr, indices = slices.csr()
    graph = networkx.DiGraph()
    graph.add_nodes_from(range(slices.n))
    graph.add_edges_from(zip(np.repeat(np.arange(slices.n), np.diff(indptr)).tolist(), indices.tolist(), strict=True))
    return graph
