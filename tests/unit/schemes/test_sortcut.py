"""Every token reads the same few sorted blocks."""

from __future__ import annotations

from math import log

import pytest
import torch

from attnprof.shapes import Shape
from attnprof.targets import door
from attnprof.units import Value
from tests.unit.schemes.by_hand import assert_is, column, made, weighing


def test_what_is_not_kept_is_not_read() -> None:
    target = door.find("sortcut", params={"block": 4, "sorted_blocks": 1, "iterations": 1})
    shape = Shape(12, dim=8, heads=2, level="core", dtype="float64")
    module, (q, k, v, _) = target.build(shape).eval(), target.inputs(shape)
    scores = torch.full((1, 3, 3), -1e4, dtype=torch.float64)
    scores[0, torch.arange(3), torch.tensor([1, 2, 0])] = 0.0
    out = module(q, k, v, scores)
    expected = (q @ k[:, :, 4:8].transpose(-2, -1) * 4**-0.5).softmax(-1) @ v[:, :, 4:8]
    torch.testing.assert_close(out, expected)


def test_work_is_linear_in_the_length() -> None:
    target = door.find("sortcut")
    assert target.flops_core(Shape(65536)) == 64 * target.flops_core(Shape(1024))


def test_a_short_sequence_has_no_more_blocks_than_it_has() -> None:
    assert door.find("sortcut").resolve(10)["sorted_blocks"] == 1
    assert door.find("sortcut").resolve(1)["block"] == 1


def preferring(*blocks: int, of: int) -> torch.Tensor:
    """Scores by which place I takes one block, and no other to speak of."""
    scores = torch.full((1, of, of), -60.0, dtype=torch.float64)
    scores[0, torch.arange(len(blocks)), torch.tensor(blocks)] = 0.0
    return scores


@pytest.mark.parametrize("n", [5, 6])
def test_hard_sorting_reads_the_tokens_of_the_kept_blocks_and_no_padding(n: int) -> None:
    """Blocks (0, 1), (2, 3), (4) or (4, 5); places take blocks 2, 0, 1. Weights of the tokens: 1, 2, 1, 1, 3, 4.

    One place kept: block 2 alone, v_4, or (3 v_4 + 4 v_5) / 7. Two: block 0 besides, (v_0 + 2 v_1 + 3 v_4) / 6, or
    over 10 with 4 v_5. Of q = 0 the mean of those tokens: of 3 or 4 of them.
    """
    weights, values = [1.0, 2, 1, 1, 3, 4][:n], [6.0, 3, 99, 77, 2, 9][:n]
    last = [2] if n == 5 else [(3 * 2 + 4 * 9) / 7]
    both = [(6 + 2 * 3 + 3 * 2) / 6, 11 / 3] if n == 5 else [(6 + 6 + 6 + 36) / 10, 20 / 4]
    q = column(1, 0, *[1] * (n - 2))
    for who, core in made("sortcut", n, {"block": 2, "sorted_blocks": 1, "hard": True}):
        out = core(q, weighing(*weights), column(*values), preferring(2, 0, 1, of=3))
        assert_is(out[:, :, :1], last, who)
    for who, core in made("sortcut", n, {"block": 2, "sorted_blocks": 2, "hard": True}):
        out = core(q, weighing(*weights), column(*values), preferring(2, 0, 1, of=3))
        assert_is(out[:, :, :2], both, who)


def test_a_block_of_one_token_is_all_that_its_place_holds() -> None:
    """n = 17, block = 16, place 0 takes block 1, whose one token is the last: every query has its value."""
    q, k, v = (torch.randn(1, 1, 17, 1, dtype=torch.float64) for _ in range(3))
    for who, core in made("sortcut", 17, {"block": 16, "sorted_blocks": 1, "hard": True}):
        assert_is(core(q, k, v, preferring(1, 0, of=2)), [float(v[0, 0, 16])] * 17, who)


def test_soft_sorting_mixes_blocks_position_by_position() -> None:
    """Scores 0: every place is half of each block. Keys (-1 + 1) / 2, (0 + 2 ln 2) / 2 weigh 1, 2; values 1, 4: 3."""
    k, v = column(-1, 0, 1, 2 * log(2)), column(-3, 1, 5, 7)
    for who, core in made("sortcut", 4, {"block": 2, "sorted_blocks": 1}):
        assert_is(core(column(1, 0, 1, 0), k, v, torch.zeros(1, 2, 2, dtype=torch.float64)), [3, 2.5, 3, 2.5], who)


def test_a_position_that_the_last_block_lacks_is_of_the_others() -> None:
    """Three tokens in blocks of two: position 0 is half of tokens 0 and 2, position 1 is token 1 alone.

    Keys (-1 + 1) / 2 = 0 and ln 2, values (-3 + 5) / 2 = 1 and 4: (1 + 2 4) / 3 = 3, and 2.5 for q = 0.
    """
    k, v = column(-1, log(2), 1), column(-3, 4, 5)
    for who, core in made("sortcut", 3, {"block": 2, "sorted_blocks": 1}):
        assert_is(core(column(1, 0, 1), k, v, torch.zeros(1, 2, 2, dtype=torch.float64)), [3, 2.5, 3], who)


@pytest.mark.parametrize(("temperature", "share"), [(1.0, 2 / 3), (0.5, 4 / 5)])
def test_balanced_weights_of_two_blocks_are_the_known_ones(temperature: float, share: float) -> None:
    """Balancing [[a, 1], [1, 1]] ends in r / (1 + r) on the diagonal, r = sqrt(a): its odds ratio r^2 stays a.

    Scores ln 4 at temperature 1: a = 4, 2 / 3; at 1/2: a = 16, 4 / 5. Values 0 in block 0 and 15 in block 1, keys 0:
    place 0 is (1 - share) 15.
    """
    scores = torch.tensor([[[log(4), 0.0], [0.0, 0.0]]], dtype=torch.float64)
    settings: dict[str, Value] = {"block": 2, "sorted_blocks": 1, "temperature": temperature, "iterations": 60}
    for who, core in made("sortcut", 4, settings):
        assert_is(
            core(column(1, 1, 1, 1), column(0, 0, 0, 0), column(0, 0, 15, 15), scores), [15 * (1 - share)] * 4, who
        )
