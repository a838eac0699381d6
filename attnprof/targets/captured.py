"""Masks that somebody captured: a CSR in a `.npz`, a BlockMask in a `.pt`, as targets of a fixed length."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from attnprof.errors import AttnprofError, Unsupported
from attnprof.pattern import Explicit, Expr, Pattern, Slices
from attnprof.shapes import Shape
from attnprof.targets.as_it_looks import as_it_looks
from attnprof.targets.catalog import OWN_CARD, Entry
from attnprof.targets.mask_mod import tabulated
from attnprof.targets.scheme import CatalogTarget

PARTIAL = "bounds: its partial tiles may hold anything, since their mask_mod is not in the file"


@dataclass(frozen=True, eq=False)
class CapturedTarget(CatalogTarget):
    """A mask from a file; where its tiles hide some edges, `sure` are those of its full ones."""

    def graph(self, shape: Shape, later: int = 0) -> Pattern:
        """The pattern at the captured length; its edges are a bound where tiles hide some."""
        return replace(super().graph(shape, later), bound="" if self.sure is None else f"edges are {PARTIAL}")


def captured(path: Path, impl: str | None = None) -> CatalogTarget:
    """The pattern in a file, of the length that it was captured at. Raises `AttnprofError` for any other content."""
    if not path.is_file():
        raise AttnprofError(f"no such file: {path}", hint="a .npz with a CSR, or a .pt with a BlockMask")
    slices, sure = (load_csr(path), None) if path.suffix == ".npz" else block_mask(path)
    return _target(slices, path, path.stem, f"captured mask {path.name}", impl, sure)


def _target(
    slices: Slices, path: Path, name: str, title: str, impl: str | None, sure: Slices | None = None
) -> CatalogTarget:
    def draw(n: int) -> Expr:
        return Explicit(of_length(slices, n, name))

    notes = () if sure is None else (PARTIAL,)
    card = replace(OWN_CARD, title=title, paper_n=slices.n, notes=notes)
    target = replace(CapturedTarget.of(Entry(name, path, card, draw), {}, impl), sure=sure)
    return as_it_looks(target, (slices.n,))


def of_length(slices: Slices, n: int, name: str) -> Slices:
    """The edges, if they are of this length. Raises `Unsupported` otherwise."""
    if n != slices.n:
        raise Unsupported(f"{name} was captured at n = {slices.n}, not {n}", hint=f"--n {slices.n}")
    return slices


def of_csr(matrix: Any, path: Path, name: str, impl: str | None = None) -> CatalogTarget:
    """The pattern of a SciPy sparse matrix or array, `[n, n]`: its stored values that are not zero."""
    held = matrix.tocsr()
    arrays = {name: getattr(held, name) for name in ("indptr", "indices", "data")}
    return _target(_checked(path, {**arrays, "shape": np.asarray(held.shape)}), path, name, "a CSR mask", impl)


def of_dense(mask: np.ndarray, path: Path, name: str, impl: str | None = None) -> CatalogTarget:
    """The pattern of a boolean mask `[n, n]`, True where query i reads key j. Raises `AttnprofError` for another."""
    if mask.dtype != np.bool_ or mask.ndim != 2 or mask.shape[0] != mask.shape[1] or not len(mask):
        raise AttnprofError(
            f"a mask is an array of {mask.dtype} {list(mask.shape)}, but a pattern is boolean and square",
            hint="True where query i reads key j, [n, n]",
        )
    row, key = np.nonzero(mask)
    slices = Slices.from_pairs(len(mask), row, key)
    return _target(slices, path, name, "a boolean mask", impl)


def of_block_mask(mask: Any, path: Path, name: str, impl: str | None = None) -> CatalogTarget:
    """The pattern of a BlockMask: its full tiles, and of its partial ones what its mask_mod lets through.

    The first sequence of a batch, head by head. Raises `AttnprofError` for one that is not square.
    """
    fields = _fields(mask, path)
    n, m = (int(length) for length in fields["seq_lengths"])
    if n != m:
        raise AttnprofError(f"{name} has {n} queries and {m} keys", hint="a pattern of one sequence is square")
    query, key = fields["BLOCK_SIZE"]
    full = _live(fields["full_kv_num_blocks"], fields["full_kv_indices"], -(-n // key))
    partial = _live(fields["kv_num_blocks"], fields["kv_indices"], -(-n // key))
    within = mask.mask_mod

    @cache
    def of_head(head: int) -> Slices:
        def reads(b: Any, h: Any, i: Any, j: Any) -> Any:
            at = head % len(partial), i // query, j // key
            let = within(b, h, i, j)
            return partial[at] & let if full is None else full[at] | (partial[at] & let)

        return tabulated(reads, n, head, name, path)

    def draw(n: int, *, head: int = 0) -> Expr:
        return Explicit(of_length(of_head(head % len(partial)), n, name))

    card = replace(OWN_CARD, title="a BlockMask", paper_n=n)
    alone = len(partial) == 1

    def draw_all(n: int) -> Expr:
        return draw(n)

    return as_it_looks(CatalogTarget.of(Entry(name, path, card, draw_all if alone else draw), {}, impl), (n,))


def _live(counts: Any, indices: Any, columns: int) -> Any:
    """Which tiles are alive, a boolean tensor `[heads, rows, columns]` of the first sequence; None without any."""
    if counts is None or indices is None:
        return None
    import torch

    count, index = counts[0].cpu(), indices[0].cpu().long()
    named = torch.arange(index.shape[-1]) < count[..., None]
    live = torch.zeros((*index.shape[:-1], columns + 1), dtype=torch.bool)
    return live.scatter_(-1, torch.where(named, index, columns), True)[..., :columns]


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


def block_mask(path: Path) -> tuple[Slices, Slices | None]:
    """The edges of a saved BlockMask: all that it may have, and those that it surely has where these are fewer.

    Its mask_mod is code and not in the file, so that what its partial tiles hold is not known.
    """
    import torch
    from torch.nn.attention.flex_attention import BlockMask, noop_mask

    try:
        with torch.serialization.safe_globals([BlockMask, noop_mask]):
            held = torch.load(path, weights_only=True, map_location="cpu")
    except Exception as error:
        raise AttnprofError(
            f"{path} does not load as tensors alone: {type(error).__name__}",
            hint="torch.save(mask.as_tuple(flatten=False)[:-1], path): without its mask_mod, which is code",
        ) from error
    fields = _fields(held, path)
    n, m = (int(length) for length in fields["seq_lengths"])
    if n != m:
        raise AttnprofError(f"{path} has {n} queries and {m} keys", hint="a pattern of one sequence is square")
    query, key = fields["BLOCK_SIZE"]
    full = _tiles(fields["full_kv_num_blocks"], fields["full_kv_indices"], n, query, key)
    partial = _tiles(fields["kv_num_blocks"], fields["kv_indices"], n, query, key)
    return full.joined(partial).disjoint(), full if partial.edges else None


NAMES = ("seq_lengths", "kv_num_blocks", "kv_indices", "full_kv_num_blocks", "full_kv_indices")


def _fields(held: Any, path: Path) -> dict[str, Any]:
    if hasattr(held, "as_tuple"):
        held = held.as_tuple(flatten=False)
    if isinstance(held, (tuple, list)) and len(held) > len(NAMES):
        return {**dict(zip(NAMES, held[:5], strict=True)), "BLOCK_SIZE": next(v for v in held[5:] if _is_size(v))}
    if isinstance(held, dict) and {*NAMES, "BLOCK_SIZE"} <= set(held):
        return held
    raise AttnprofError(f"{path} holds no BlockMask", hint="torch.save(mask.as_tuple(flatten=False)[:-1], path)")


def _is_size(value: object) -> bool:
    return isinstance(value, tuple) and len(value) == 2 and all(isinstance(each, int) for each in value)


def _tiles(counts: Any, indices: Any, n: int, query: int, key: int) -> Slices:
    """Whole tiles of the first batch entry, heads united."""
    if counts is None or indices is None:
        return Slices.empty(n)
    count, index = np.asarray(counts)[0], np.asarray(indices)[0]
    head, row, at = np.nonzero(np.arange(index.shape[-1]) < count[..., None])
    start = index[head, row, at].astype(np.int64) * key
    rows = (row[:, None] * query + np.arange(query)).ravel()
    first = np.repeat(start, query)
    return Slices.of(n, rows, first, first + key).disjoint()
