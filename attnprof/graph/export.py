"""A pattern in the formats of other tools: CSR on disk, a networkx graph, GraphML and GEXF."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from attnprof.errors import AttnprofError
from attnprof.graph.subject import Subject
from attnprof.pattern import Kernel, Slices
from attnprof.units import counted

if TYPE_CHECKING:
    import networkx

MOST_CSR = 200_000_000
MOST_DIGRAPH = 2_000_000
MOST_XML = 200_000


class Exported(NamedTuple):
    """A file of edges: where it is, how many it holds, and in words of what."""

    path: str
    edges: int
    of: str


def chosen_edges(subject: Subject, layer: int | None = None, head: int | None = None) -> tuple[Slices, str]:
    """The edges of one layer and head, both counted from 1, as one relation, and in words what it is.

    Without a layer those of all layers united (of layers that are drawn alike: of the first), without a head those of
    all heads. Raises `AttnprofError` for a layer or head that there is not, and where tokens meet in slots or a kernel.
    """
    pattern = subject.pattern
    for name, value, most in (("layer", layer, pattern.layers), ("head", head, pattern.heads)):
        if value is not None and not 1 <= value <= most:
            raise AttnprofError(f"{pattern.name} has no {name} {value}", hint=f"counted from 1: 1 to {most}")
    layers, heads = _chosen(subject, layer, head)
    parts = {id(part): part for part in (_edges_of(subject, at, one) for at in layers for one in heads)}
    first, *rest = parts.values()
    drawn = layer is None and any(kind.drawn for kind in subject.layer_kinds)
    named = ", ".join(str(at + 1) for at in layers) if drawn or layer else None
    words = [_which("layer", named, pattern.layers), _which("head", head, pattern.heads)]
    text = ", ".join([*words, *(["each layer is drawn anew"] if drawn else [])])
    return first.joined(*rest).disjoint() if rest else first, f"{pattern.name} at n = {pattern.n}: {text}"


def _chosen(subject: Subject, layer: int | None, head: int | None) -> tuple[Sequence[int], Sequence[int]]:
    """Layers and heads, counted from 0: one of each kind of layers unless a layer is chosen."""
    layers = [kind.layers[0] - 1 for kind in subject.layer_kinds] if layer is None else [layer - 1]
    return layers, range(subject.pattern.heads) if head is None else [head - 1]


def _which(name: str, chosen: int | str | None, count: int) -> str:
    if count == 1:
        return f"its one {name}"
    return f"{counted(count, name)} united" if chosen is None else f"{name} {chosen} of {count}"


def _edges_of(subject: Subject, layer: int, head: int) -> Slices:
    name = f"layer {layer + 1} of {subject.pattern.name}"
    part = subject.part(layer, head)
    plain = [kind for kind in subject.layer_kinds if not any(_other(subject, *at[:2]) for at in kind.heads)]
    hint = f"--csr-layer {plain[0].layers[0]} has edges alone" if plain else "leave --csr out: no layer has edges alone"
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


def digraph(slices: Slices, labels: Mapping[str, Sequence[str]] | None = None) -> networkx.DiGraph:
    """The edges as a `networkx.DiGraph`, i -> j where query i reads key j, with labels of each edge in CSR's order.

    Raises `AttnprofError` above 2 million edges.
    """
    import networkx

    if slices.edges > MOST_DIGRAPH:
        raise AttnprofError(
            f"{slices.edges:,} edges would take about {slices.edges * 240 / 1e9:.1f} GB as a DiGraph",
            hint=f"up to {MOST_DIGRAPH:,} edges are exported; CSR has no such limit",
        )
    indptr, indices = slices.csr()
    row = np.repeat(np.arange(slices.n), np.diff(indptr))
    graph = networkx.DiGraph()
    graph.add_nodes_from(range(slices.n))
    graph.add_edges_from(zip(row.tolist(), indices.tolist(), strict=True))
    for name, texts in (labels or {}).items():
        for tail, head, text in zip(row.tolist(), indices.tolist(), texts, strict=True):
            graph[tail][head][name] = text
    return graph


def digraph_of(subject: Subject, layer: int | None = None, head: int | None = None) -> networkx.DiGraph:
    """The edges of a layer and head as a `networkx.DiGraph`, or united, as `chosen_edges` has them.

    Where they differ each edge says in which it is: `layers`, in some head, and `heads`, in some layer, counted from 1
    with commas between. The graph's own attributes are `name`, `n` and `of`, in words what it shows.
    """
    edges, what = chosen_edges(subject, layer, head)
    graph = digraph(edges, _labels(subject, edges, layer, head) if edges.edges <= MOST_DIGRAPH else None)
    graph.graph.update(name=subject.pattern.name, n=subject.n, of=what)
    return graph


def _labels(subject: Subject, edges: Slices, layer: int | None, head: int | None) -> dict[str, list[str]]:
    """The layers and the heads of every edge, each where not all have all edges."""
    known = _numbered(edges)
    layers, heads = _chosen(subject, layer, head)
    within = {id(part): part for part in (subject.part(at, one) for at in layers for one in heads)}
    member = {name: np.isin(known, _numbered(part.tokens())) for name, part in within.items()}
    found = np.asarray([[member[id(subject.part(at, one))] for one in heads] for at in layers])
    sides = {
        "layers": (layers, np.logical_or.reduce(found, axis=1)),
        "heads": (heads, np.logical_or.reduce(found, axis=0)),
    }
    return {name: _named(places, having) for name, (places, having) in sides.items() if not having.all()}


def _numbered(slices: Slices) -> NDArray[np.int64]:
    """A number for each edge, in CSR's order."""
    indptr, indices = slices.csr()
    return np.repeat(np.arange(slices.n), np.diff(indptr)) * slices.m + indices


def _named(places: Sequence[int], having: NDArray[np.bool_]) -> list[str]:
    """Of each edge the places that have it, `having [places, edges]`, as text."""
    kinds, which = np.unique(having.T, axis=0, return_inverse=True)
    texts = [",".join(str(place + 1) for place, has in zip(places, kind, strict=True) if has) for kind in kinds]
    return [texts[at] for at in which.ravel().tolist()]


def save_graphml(graph: networkx.DiGraph, path: Path) -> None:
    """The graph as GraphML, its attributes included."""
    import networkx

    path.write_text("\n".join(networkx.generate_graphml(graph)) + "\n", encoding="utf-8")


def save_gexf(graph: networkx.DiGraph, path: Path) -> None:
    """The graph as GEXF, for Gephi; without the date of writing, so that the same graph is the same file."""
    import networkx

    text = "\n".join(networkx.generate_gexf(graph))
    path.write_text(re.sub(r' lastmodifieddate="[^"]*"', "", text) + "\n", encoding="utf-8")


XML = {"graphml": save_graphml, "gexf": save_gexf}


def export(subject: Subject, path: Path, kind: str, layer: int | None = None, head: int | None = None) -> Exported:
    """Write the edges that `chosen_edges` has as `csr`, `graphml` or `gexf`.

    Raises `AttnprofError` for more edges than the format is good for: 200 million of CSR, 200,000 of the others.
    """
    edges, what = chosen_edges(subject, layer, head)
    save = XML.get(kind)
    if save is None:
        save_csr(edges, path, what)
        return Exported(str(path), edges.edges, what)
    if edges.edges > MOST_XML:
        raise AttnprofError(
            f"{edges.edges:,} edges are more than a {kind} file should hold ({MOST_XML:,})",
            hint="choose a shorter --n, or --csr, which takes more",
        )
    save(digraph_of(subject, layer, head), path)
    return Exported(str(path), edges.edges, what)
