"""A pattern in the formats of other tools: CSR on disk, a networkx graph."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from attnprof.errors import AttnprofError
from attnprof.pattern import Slices

if TYPE_CHECKING:
    import networkx

MOST_CSR = 200_000_000
MOST_DIGRAPH = 2_000_000


def save_csr(slices: Slices, path: Path) -> None:
    """The adjacency as `.npz` with indptr, indices, data and shape, which `scipy.sparse.load_npz` reads as well.

    Raises `AttnprofError` above 200 million edges.
    """
    if slices.edges > MOST_CSR:
        raise AttnprofError(
            f"{slices.edges:,} edges are more than a CSR file should hold ({MOST_CSR:,})",
            hint="choose a shorter --n; the slices themselves need no more than a few numbers a row",
        )
    indptr, indices = slices.csr()
    data = np.ones(len(indices), dtype=np.bool_)
    with path.open("wb") as file:
        np.savez_compressed(
            file, indptr=indptr, indices=indices, data=data, shape=(slices.n, slices.m), format=np.array(b"csr")
        )


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
