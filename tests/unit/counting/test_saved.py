"""Bytes that wait for backward: counted on fake tensors, and found in the real graph, to the byte."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from attnprof.counting import count
from attnprof.measure.saved_hooks import forward_saved
from attnprof.shapes import Shape
from attnprof.targets import catalog, door

EXECUTED = [name for name in catalog.names() if catalog.is_written(name, catalog.card(name))]


@pytest.fixture(autouse=True)
def same_draw() -> Iterator[None]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


@pytest.mark.parametrize("name", EXECUTED)
def test_counted_saved_bytes_are_those_of_the_real_graph(name: str) -> None:
    target = door.find(name)
    shape = Shape(1024, dim=64, heads=4, causal=catalog.card(name).native_causal)
    leaves = [x.requires_grad_() if x.is_floating_point() else x for x in target.inputs(shape)]
    real, _ = forward_saved(target.build(shape).train(), leaves)
    assert count(target, shape, "train").cost.saved_bytes == real
