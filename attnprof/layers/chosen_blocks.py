"""Rows of queries that each chose some blocks of keys: sorted by block, so that every tile of them meets one block.

A block's share of rows is filled up to whole tiles. How many tiles there are at most follows from the sizes alone:
nothing waits for what was chosen, and work and memory are the same whatever it is.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from attnprof.layers.partial_softmax import SoftmaxPart, softmax_part
from attnprof.layers.row_order import rows

TILE = 32


def chosen_part(q: Tensor, k: Tensor, v: Tensor, chosen: Tensor, each: int = 1) -> SoftmaxPart:
    """What every row's choices add to its softmax, `[b, g, rows, choices, each, d or 1]`.

    `q [b, g, rows * each, d]` are scaled, `each` queries sharing one choice; `k, v [b, g, blocks, size, d]`;
    `chosen [b, g, rows, choices]` names a block, or `blocks` for none.
    """
    count, (wanted, choices) = k.shape[2], chosen.shape[2:]
    slot, block = _slots(chosen.flatten(2), count)
    tiles = block.shape[-1]
    source = torch.full((*slot.shape[:2], tiles * TILE + 1), wanted, device=slot.device)
    row = torch.arange(wanted * choices, device=slot.device).div(choices, rounding_mode="floor")
    source = source.scatter_(-1, slot, row.expand_as(slot))[..., :-1]
    packed = F.pad(q.unflatten(2, (wanted, each)).flatten(3), (0, 0, 0, 1))
    queries = rows(packed, source).unflatten(-1, (each, -1)).flatten(2, 3).unflatten(2, (tiles, TILE * each))
    keys, values = (rows(x.flatten(3), block).unflatten(-1, x.shape[3:]) for x in (k, v))
    part = softmax_part(queries, keys, values)
    least = torch.finfo(part.peak.dtype).min
    back = [
        rows(F.pad(x.flatten(2, 3).unflatten(2, (-1, each)).flatten(3), (0, 0, 0, 1), value=empty), slot)
        for x, empty in zip(part, (0.0, 0.0, least), strict=True)
    ]
    return SoftmaxPart(*(x.unflatten(2, (wanted, choices)).unflatten(-1, (each, -1)) for x in back))


@torch.no_grad()
def _slots(chosen: Tensor, blocks: int) -> tuple[Tensor, Tensor]:
    """For each choice `[b, g, choices]` its slot among all tiles, the last of all for none; and each tile's block."""
    tiles = most_tiles(chosen.shape[-1], blocks)
    order = chosen.sort(dim=-1, stable=True)
    counts = torch.zeros(*chosen.shape[:2], blocks + 1, dtype=torch.int64, device=chosen.device)
    counts = counts.scatter_add_(-1, chosen, torch.ones_like(chosen))
    whole = (counts + TILE - 1).div(TILE, rounding_mode="floor") * TILE
    begins, first = whole.cumsum(-1) - whole, counts.cumsum(-1) - counts
    within = torch.arange(chosen.shape[-1], device=chosen.device) - first.gather(-1, order.values)
    place = begins.gather(-1, order.values) + within
    place = place.masked_fill(order.values == blocks, tiles * TILE)
    ends = whole[..., :-1].cumsum(-1)
    starts = (torch.arange(tiles, device=chosen.device) * TILE).expand(*chosen.shape[:2], -1).contiguous()
    block = torch.searchsorted(ends, starts, right=True).clamp(max=blocks - 1)
    return torch.empty_like(place).scatter_(-1, order.indices, place), block


def most_tiles(choices: int, blocks: int) -> int:
    """Tiles that so many choices of so many blocks fill at most: a block leaves all but one row of a tile empty."""
    return (choices + blocks * (TILE - 1)) // TILE


def over_choices(part: SoftmaxPart) -> SoftmaxPart:
    """The choices of each row as one part, `[b, g, rows * each, d or 1]`."""
    top = part.peak.amax(3, keepdim=True)
    scale = (part.peak - top).exp()
    mixed, total = ((x * scale).sum(3) for x in (part.mixed, part.total))
    return SoftmaxPart(mixed.flatten(2, 3), total.flatten(2, 3), top.squeeze(3).flatten(2, 3))


def read_places(chosen: Tensor, size: int, n: int) -> Tensor:
    """The tokens that the last of n reads, `[b, h, c]`: of the blocks `chosen [b, h, choices]`, and of its own."""
    own = torch.arange((n - 1) // size * size, n, device=chosen.device).expand(*chosen.shape[:2], -1)
    return torch.cat([(chosen[..., None] * size + torch.arange(size, device=chosen.device)).flatten(2), own], 2)
