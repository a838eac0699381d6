"""Every token reads the same few sorted blocks."""

from __future__ import annotations

import torch

from attnprof import catalog
from attnprof.model import Shape


def test_what_is_not_kept_is_not_read() -> None:
    target = catalog.find("sortcut", params={"block": 4, "sorted_blocks": 1, "iterations": 1})
    shape = Shape(12, dim=8, heads=2, level="core", dtype="float64")
    module, (q, k, v, _) = target.build(shape).eval(), target.inputs(shape)
    scores = torch.full((1, 3, 3), -1e4, dtype=torch.float64)
    scores[0, torch.arange(3), torch.tensor([1, 2, 0])] = 0.0
    out = module(q, k, v, scores)
    expected = (q @ k[:, :, 4:8].transpose(-2, -1) * 4**-0.5).softmax(-1) @ v[:, :, 4:8]
    torch.testing.assert_close(out, expected)


def test_work_is_linear_in_the_length() -> None:
    target = catalog.find("sortcut")
    assert target.flops_core(Shape(65536)) == 64 * target.flops_core(Shape(1024))


def test_a_short_sequence_has_no_more_blocks_than_it_has() -> None:
    assert catalog.find("sortcut").resolve(10)["sorted_blocks"] == 1
    assert catalog.find("sortcut").resolve(1)["block"] == 1
