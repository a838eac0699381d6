"""FlexAttention while it is counted: its operator as it is called, its BlockMasks with the values that they would have.

A BlockMask that a module makes under fake tensors has shapes only, but its cost depends on how many tiles are alive. So
its mask_mod is asked for real, a block of rows at a time, outside of every mode.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager

from torch import Tensor, nn
from torch.nn.attention.flex_attention import BlockMask, create_mask

from attnprof.errors import AttnprofError, TooLarge, Unsupported
from attnprof.layers.block_masks import note_live
from attnprof.pattern.apart import on_real_numbers, real_numbers
from attnprof.torch_private import buffers_of, eager_flex, is_fake, tile_masks

PAIRS = 1 << 21
MOST_PAIRS = 1 << 32
HINT = "make the mask of sizes, or of buffers that the constructor fills; what forward computes has no values here"

MaskFunction = Callable[..., Tensor]


class NoValues(Unsupported):
    """A mask depends on tensors that have no values while a module is counted."""

    def __init__(self) -> None:
        super().__init__("a BlockMask depends on the values of tensors that only exist when the module runs", hint=HINT)


class Values:
    """The values of a counted module's buffers: of the module made for real, once, when a mask asks for them."""

    def __init__(self, make: Callable[[], nn.Module]) -> None:
        self._make = make
        self._real: dict[str, Tensor] | None = None
        self.module: nn.Module | None = None

    def take(self, module: nn.Module) -> None:
        """The module that is counted; buffers that it has for real are kept."""
        self.module = module
        buffers = dict(module.named_buffers())
        if buffers and not any(is_fake(b) for b in buffers.values()):
            self._real = buffers

    def real(self) -> Mapping[str, Tensor]:
        """Every buffer by its name, with values."""
        if self._real is None:
            with real_numbers():
                self._real = dict(self._make().named_buffers())
        return self._real

    @contextmanager
    def lent(self) -> Iterator[None]:
        """The counted module with the values of its buffers; inside of its constructor there is none yet."""
        if self.module is None or not any(is_fake(b) for b in self.module.buffers()):
            yield
            return
        kept = [(buffers_of(part), dict(buffers_of(part))) for part in self.module.modules()]
        for name, value in self.real().items():
            owner, _, own = name.rpartition(".")
            buffers_of(self.module.get_submodule(owner))[own] = value
        try:
            yield
        finally:
            for held, before in kept:
                held.update(before)


def counted_flex(values: Values | None = None) -> AbstractContextManager[None]:
    """FlexAttention's operator called as it is, backward on a CPU too; masks made now know their live tiles.

    Whatever the module compiles with `torch.compile` runs as it is written.
    """
    return eager_flex(functools.partial(_note, values))


def _note(values: Values | None, mask: BlockMask, mask_mod: MaskFunction, heads: tuple[int, int]) -> None:
    """Note how many tiles of a mask are partial and how many are full, over its batch and heads."""
    rows, keys = mask.BLOCK_SIZE
    apart = mask.full_kv_num_blocks is not None
    try:
        partial, full = live_tiles(mask_mod, heads, mask.seq_lengths, (rows, keys), apart=apart)
    except NoValues:
        if values is None or values.module is None:
            raise
        with values.lent():
            partial, full = live_tiles(mask_mod, heads, mask.seq_lengths, (rows, keys), apart=apart)
    note_live(mask.kv_num_blocks, partial)
    if mask.full_kv_num_blocks is not None:
        note_live(mask.full_kv_num_blocks, full)


@on_real_numbers
def live_tiles(
    mask_mod: MaskFunction, heads: tuple[int, int], lengths: tuple[int, int], block: tuple[int, int], *, apart: bool
) -> tuple[int, int]:
    """Partial and full tiles of a mask_mod over `heads` (batch, heads) masks, asked a block of rows at a time.

    Where full tiles are not told `apart`, all live ones are partial. Raises `NoValues` where the function answers with
    a tensor that has none, `TooLarge` above 4 G pairs, `AttnprofError` where it fails.
    """
    (n, m), (rows, keys) = lengths, block
    if heads[0] * heads[1] * n * m > MOST_PAIRS:
        raise TooLarge(
            f"a BlockMask over {heads[0] * heads[1]} x {n} x {m} pairs is asked pair by pair, up to {MOST_PAIRS:,}",
            hint="a shorter n, or one mask for all sequences and heads: create_block_mask(mask_mod, None, None, ...)",
        )
    step = max(PAIRS // m // rows, 1) * rows
    partial = full = 0
    for one in range(heads[0] * heads[1]):
        for first in range(0, n, step):
            at = (one // heads[1], one % heads[1], first)
            mask = _asked(mask_mod, at, min(step, n - first), m)
            some, whole = tile_masks(mask, rows, keys, apart=apart)
            partial += int(some.sum())
            full += 0 if whole is None else int(whole.sum())
    return partial, full


def _asked(mask_mod: MaskFunction, at: tuple[int, int, int], rows: int, keys: int) -> Tensor:
    """The mask `[1, 1, rows, keys]` of one sequence and head, from a row on."""
    batch, head, first = at

    def shifted(b: Tensor, h: Tensor, q_idx: Tensor, kv_idx: Tensor) -> Tensor:
        return mask_mod(b + batch, h + head, q_idx + first, kv_idx)

    try:
        mask = create_mask(shifted, 1, 1, rows, keys, "cpu")
    except Exception as error:
        if captures_fake(mask_mod):
            raise NoValues from error
        raise AttnprofError(
            f"a mask_mod of FlexAttention fails: {type(error).__name__}: {str(error).splitlines()[0]}",
            hint="it takes (b, h, q_idx, kv_idx) and returns a boolean a pair",
        ) from error
    if is_fake(mask):
        raise NoValues
    return mask


def captures_fake(function: object, depth: int = 4) -> bool:
    """Whether a function holds a tensor without values: in its closure, or in that of a function that it holds."""
    cells = getattr(function, "__closure__", None) or ()
    held = [cell.cell_contents for cell in cells]
    flat = [each for value in held for each in (value if isinstance(value, (tuple, list)) else [value])]
    for value in flat:
        tensors = value.buffers() if isinstance(value, nn.Module) else [value]
        if any(is_fake(t) for t in tensors) or (depth and captures_fake(value, depth - 1)):
            return True
    return False
