"""Rows sorted by the block that they chose: every choice meets its block, however unevenly blocks are chosen."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from attnprof.layers.chosen_blocks import TILE, _slots, chosen_part, most_tiles, over_choices
from attnprof.layers.own_block import own_part
from attnprof.layers.partial_softmax import joined
from attnprof.layers.softmax import softmax_attention

BLOCKS, SIZE, ROWS = 5, 3, 70


def choices_of(kind: str) -> Tensor:
    """What 70 rows of two heads choose, two blocks each; 5 stands for none."""
    torch.manual_seed(0)
    if kind == "all one":
        first = torch.full((1, 2, ROWS, 1), 2)
        return torch.cat([first, torch.full_like(first, BLOCKS)], -1)
    if kind == "none":
        return torch.full((1, 2, ROWS, 2), BLOCKS)
    return torch.stack([torch.randperm(BLOCKS + 1)[:2] for _ in range(2 * ROWS)]).view(1, 2, ROWS, 2)


@pytest.mark.parametrize("kind", ["all one", "none", "any"])
def test_every_slot_is_taken_once_and_tiles_are_of_one_block(kind: str) -> None:
    chosen = choices_of(kind).flatten(2)
    slot, block = _slots(chosen, BLOCKS)
    assert block.shape[-1] == most_tiles(chosen.shape[-1], BLOCKS)
    for head in range(2):
        real = chosen[0, head] < BLOCKS
        taken = slot[0, head][real]
        assert len(taken.unique()) == len(taken)
        assert (block[0, head][taken // TILE] == chosen[0, head][real]).all()
        assert (slot[0, head][~real] == block.shape[-1] * TILE).all()


@pytest.mark.parametrize("each", [1, 3])
@pytest.mark.parametrize("kind", ["all one", "none", "any"])
def test_what_is_read_is_what_a_mask_reads(kind: str, each: int) -> None:
    chosen = choices_of(kind)
    q = torch.randn(1, 2, ROWS * each, 4, dtype=torch.float64)
    k, v = (torch.randn(1, 2, BLOCKS, SIZE, 4, dtype=torch.float64) for _ in range(2))
    mixed = joined([over_choices(chosen_part(q * 0.5, k, v, chosen, each))])
    seen = (chosen[..., None] == torch.arange(BLOCKS)).any(3).repeat_interleave(SIZE, -1)
    expected = softmax_attention(q, k.flatten(2, 3), v.flatten(2, 3), seen.repeat_interleave(each, 2))
    torch.testing.assert_close(mixed, expected)


def test_so_many_tiles_are_enough_and_no_fewer() -> None:
    """Worst, every block but one has one row in a last tile of its own."""
    for extra in range(1, 3 * TILE):
        counts = [1, 1, 1, extra]
        needed = sum(-(-count // TILE) for count in counts)
        assert needed <= most_tiles(sum(counts), 4) <= needed + 3


def test_the_own_block_is_read_up_to_the_query() -> None:
    torch.manual_seed(0)
    q, k, v = (torch.randn(1, heads, 11, 4, dtype=torch.float64) for heads in (4, 2, 2))
    place = torch.arange(11)
    mask = (place[:, None] // 4 == place // 4) & (place <= place[:, None])
    torch.testing.assert_close(joined([own_part(q * 0.5, k, v, 4)]), softmax_attention(q, k, v, mask))
