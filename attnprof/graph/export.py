"""A pattern in the formats of other tools: CSR on disk, a networkx graph."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

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


def load_csr(path: Path) -> Slices:
    """The pattern in a `.npz` that holds `indptr` and `indices` (and, where keys differ from queries, `shape`)."""
    try:
        with np.load(path, allow_pickle=False) as file:
            held = {name: file[name] for name in file.files}
    except (OSError, ValueError) as error:
        raise AttnprofError(f"{path} is not a readable .npz file: {error}", hint="write it with numpy.savez") from error
    if not {"indptr", "indices"} <= set(held):
        raise AttnprofError(
            f"{path} holds {', '.join(sorted(held)) or 'nothing'}, but a CSR needs indptr and indices",
            hint="numpy.savez(path, indptr=..., indices=...), or scipy.sparse.save_npz of a csr_array",
        )
    return _checked(path, held)


def _checked(path: Path, held: dict[str, Any]) -> Slices:
    indptr, indices = held["indptr"].astype(np.int64), held["indices"].astype(np.int64)
    n = len(indptr) - 1
    m = int(held["shape"][1]) if "shape" in held else n
    if n < 1 or indptr[0] != 0 or indptr[-1] != len(indices) or bool((np.diff(indptr) < 0).any()):
        raise AttnprofError(f"{path}: indptr does not rise from 0 to the {len(indices)} indices", hint="check the file")
    if n != m:
        raise AttnprofError(f"{path} is {n} x {m}, but a pattern of one sequence is square", hint="check its shape")
    if len(indices) and not 0 <= int(indices.min()) <= int(indices.max()) < m:
        raise AttnprofError(f"{path} names the key {int(indices.max())} of {m}", hint="keys count from 0")
    kept = held["data"].astype(np.bool_) if "data" in held else np.ones(len(indices), dtype=np.bool_)
    row = np.repeat(np.arange(n), np.diff(indptr))
    return Slices.from_pairs(n, row[kept], indices[kept])


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
