"""Global tokens with projections of their own."""

from __future__ import annotations

import torch

from attnprof import catalog
from attnprof.model import Shape


def test_edges_are_the_known_counts() -> None:
    target = catalog.find("etc", params={"window": 42, "global_tokens": 16})
    assert target.edges(Shape(1024)) == target.pattern(Shape(1024)).edges() == 75_394
    assert target.edges(Shape(4096)) == target.pattern(Shape(4096)).edges() == 305_794


def test_global_tokens_are_projected_by_matrices_of_their_own() -> None:
    target = catalog.find("etc", params={"window": 4, "global_tokens": 3})
    shape = Shape(20, dim=8, heads=2)
    module = target.build(shape)
    module(*target.inputs(shape)).sum().backward()
    for side in (module.project.top, module.project.long):
        assert side.to_v.weight.grad.abs().sum() > 0
    assert not torch.equal(module.project.top.to_q.weight, module.project.long.to_q.weight)


def test_at_most_half_of_a_short_sequence_is_global() -> None:
    assert [catalog.find("etc").resolve(n)["global_tokens"] for n in (1, 2, 100, 4096)] == [0, 1, 50, 256]
