"""A mask_mod `(b, h, q_idx, kv_idx) -> bool`, as FlexAttention takes it, as a pattern: asked for every pair, in blocks.

What the function is written with (tensors that it captured, `torch.where`, NumPy arrays, plain arithmetic) is its own
business: it is called the way that suits it, always on real numbers, whether torch is loaded or not.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

import numpy as np

from attnprof.errors import AttnprofError, TooLarge
from attnprof.pattern import Explicit, Expr, Slices
from attnprof.pattern.apart import on_real_numbers, real_numbers
from attnprof.pattern.expr import AsArray
from attnprof.pattern.slices import Bools, Ints
from attnprof.targets.catalog import OWN_CARD, Entry
from attnprof.userfiles import line_in

MaskMod = Callable[..., Any]
Way = Callable[[MaskMod, Any, Ints, Ints], Any]

LONGEST = 1 << 15
MOST_SLICES = 1 << 22
PAIRS = 1 << 22
REMEMBERED = 16


@dataclass(frozen=True, eq=False)
class Tabulated(Explicit):
    """The edges of a mask_mod, with the function itself as their rule, for tensors and for arrays."""

    mask: MaskMod
    head: int

    def rule(self, i: Any, j: Any, asarray: AsArray = np.asarray) -> Any | None:
        if not isinstance(i, np.ndarray):
            return self.mask(i.new_zeros(()), i.new_full((), self.head), i, j)
        with real_numbers():
            return self._of_arrays(i, j)

    def _of_arrays(self, i: Ints, j: Ints) -> Any | None:
        import torch

        try:
            return np.asarray(self.rule(torch.from_numpy(i), torch.from_numpy(j)))
        except Exception:
            return None  # written for arrays, so that no fused kernel can trace it


def mask_entry(name: str, mask: MaskMod, path: Path) -> Entry:
    """A user's mask_mod as an entry of the catalogue; one pattern for all heads where it never looks at `h`."""

    @lru_cache(REMEMBERED)
    def drawn(n: int, head: int) -> Expr:
        return Tabulated(tabulated(mask, n, head, name, path), mask, head)

    def of_head(n: int, *, head: int = 0) -> Expr:
        return drawn(n, head)

    def of_all(n: int) -> Expr:
        return drawn(n, 0)

    card = replace(OWN_CARD, title=f"mask_mod {name}")
    return Entry(name, path, card, of_head if reads_head(mask) else of_all)


@on_real_numbers
def tabulated(mask: MaskMod, n: int, head: int = 0, name: str = "", path: Path | None = None) -> Slices:
    """The edges of a mask_mod at length n, for the first sequence of a batch, evaluated in blocks of rows.

    Raises `AttnprofError` where the function fails or returns no booleans, `TooLarge` above 32k tokens, or where its
    edges are too ragged to be held.
    """
    name = name or getattr(mask, "__name__", type(mask).__name__)
    if n > LONGEST:
        raise TooLarge(
            f"a mask_mod is asked pair by pair, up to n = {LONGEST}; n is {n}",
            hint="write it as a pattern file of primitives, which has no limit",
        )
    pieces, held = [Slices.empty(n)], 0
    for rows, hit in _blocks(mask, n, head, _Failure(name, path, n)):
        pieces.append(in_slices(n, rows, hit))
        held += len(pieces[-1].row)
        if held > MOST_SLICES:
            raise TooLarge(
                f"the edges of mask_mod {name} at n = {n} are more than {MOST_SLICES:,} separate runs of keys",
                hint="a shorter n",
            )
    return pieces[0].joined(*pieces[1:])


def _blocks(mask: MaskMod, n: int, head: int, failure: _Failure) -> Iterator[tuple[Ints, Bools]]:
    """Blocks of query rows, and which keys each of them reads, `[rows, n]`."""
    ways, keys, step = list(_ways(mask)), np.arange(n), max(1, PAIRS // n)
    for first in range(0, n, step):
        rows = np.arange(first, min(first + step, n))
        yield rows, _answer(mask, head, rows, keys, ways, failure)


def _answer(mask: MaskMod, head: int, rows: Ints, keys: Ints, ways: list[Way], failure: _Failure) -> Bools:
    """The mask of a block by the first way of calling that works, which is the only one from then on."""
    errors: list[Exception] = []
    for way in list(ways):
        try:
            found = np.asarray(way(mask, head, rows, keys))
            ways[:] = [way]
            return failure.checked(found, (len(rows), len(keys)))
        except AttnprofError:
            raise
        except Exception as error:
            errors.append(error)
    raise failure.of(errors[0]) from errors[0]


class _Failure:
    """What is said of a mask_mod that cannot be used."""

    hint = "it takes (b, h, q_idx, kv_idx) and returns a boolean a pair; `&`, `|`, `~` and torch.where, no `and`, `if`"

    def __init__(self, name: str, path: Path | None, n: int) -> None:
        self.name, self.path, self.n = name, path, n

    def of(self, error: Exception) -> AttnprofError:
        """The error that stands for an exception of the function."""
        place = f"{self.path}{line_in(error, self.path)} " if self.path else ""
        told = f"{place}mask_mod {self.name} fails at n = {self.n}: {type(error).__name__}: {error}"
        return AttnprofError(told.splitlines()[0], hint=self.hint)

    def checked(self, found: np.ndarray, shape: tuple[int, int]) -> Bools:
        """The answer as booleans of the block's shape. Raises `AttnprofError` where it is something else."""
        if found.dtype.kind not in "biu":
            raise AttnprofError(f"mask_mod {self.name} returns {found.dtype}, no booleans", hint=self.hint)
        try:
            return np.broadcast_to(found.astype(np.bool_), shape)
        except ValueError:
            told = f"mask_mod {self.name} returns shape {found.shape} for {shape[0]} queries and {shape[1]} keys"
            raise AttnprofError(told, hint=self.hint) from None


def by_arrays(mask: MaskMod, head: Any, rows: Ints, keys: Ints) -> Any:
    """Called once for the block, with NumPy arrays that broadcast."""
    return mask(np.asarray(0), head if isinstance(head, _Untouched) else np.asarray(head), rows[:, None], keys[None])


def by_tensors(mask: MaskMod, head: Any, rows: Ints, keys: Ints) -> Any:
    """Called as FlexAttention calls it: on scalar tensors, under vmap."""
    import torch

    pair = torch.vmap(torch.vmap(mask, in_dims=(None, None, None, 0)), in_dims=(None, None, 0, None))
    h = head if isinstance(head, _Untouched) else torch.tensor(head)
    return pair(torch.tensor(0), h, torch.from_numpy(rows), torch.from_numpy(keys)).detach().cpu().numpy()


def _ways(mask: MaskMod) -> tuple[Way, Way]:
    """How to call it, the likelier way first: code that knows of torch wants tensors."""
    return (by_tensors, by_arrays) if _knows_torch(mask) else (by_arrays, by_tensors)


def _knows_torch(mask: MaskMod) -> bool:
    """Whether the function's globals or captured values that it names are torch's."""
    function = inspect.unwrap(mask)
    if not inspect.isfunction(function):
        return True
    found = inspect.getclosurevars(function)
    held = [*found.nonlocals.values(), *found.globals.values()]
    return any(_is_torch(value) or (inspect.isfunction(value) and value is not mask) for value in held)


def _is_torch(value: object) -> bool:
    name = value.__name__ if isinstance(value, ModuleType) else type(value).__module__
    return name.partition(".")[0] == "torch"


class _Untouched:
    """In the place of the head: whatever is done with it fails."""

    def _touched(self, *_: object) -> NoReturn:
        raise TypeError("the head is looked at")

    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = __bool__ = __index__ = _touched
    __hash__ = _touched


@on_real_numbers
def reads_head(mask: MaskMod) -> bool:
    """Whether the function may look at `h`: it does not, if it answers for a pair without one."""
    one = np.zeros(1, dtype=np.int64)
    for way in _ways(mask):
        try:
            way(mask, _Untouched(), one, one)
        except Exception:  # a mistake of its own is told when it is tabulated
            continue
        return False
    return True


def in_slices(n: int, rows: Ints, hit: Bools) -> Slices:
    """Rows of a mask `[rows, n]` as runs of keys; keys that are alone and evenly spaced become one strided slice."""
    edge = np.zeros((len(rows), n + 1), dtype=np.bool_)
    edge[:, :n] = hit
    edge[:, 1:] ^= hit
    row, at = np.divmod(np.flatnonzero(edge), n + 1)  # of a flat array, which is found many times faster
    row, start, stop = row[::2], at[::2], at[1::2]
    even, step = _evenly(row, start, stop, len(rows))
    first = np.concatenate([[True], row[1:] != row[:-1]]) if len(row) else np.zeros(0, dtype=np.bool_)
    last = np.zeros(len(rows), dtype=np.int64)
    last[row] = stop  # the last write of a row is its largest
    kept = first | ~even[row]
    row, start, stop = row[kept], start[kept], stop[kept]
    strided = even[row]
    return Slices.of(n, rows[row], start, np.where(strided, last[row], stop), np.where(strided, step[row], 1))


def _evenly(row: Ints, start: Ints, stop: Ints, count: int) -> tuple[Bools, Ints]:
    """Which rows are three single keys or more at equal distances, and those distances."""
    size = np.bincount(row, minlength=count)
    alone = np.ones(count, dtype=np.bool_)
    alone[row[stop - start > 1]] = False
    within = np.flatnonzero(row[1:] == row[:-1])
    gap, owner = start[within + 1] - start[within], row[within]
    step = np.ones(count, dtype=np.int64)
    step[owner] = gap
    alone[owner[gap != step[owner]]] = False
    return alone & (size > 2), step
