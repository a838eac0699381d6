"""Linformer: the published cost, what backward keeps, and who may not ask for it."""

from __future__ import annotations

import pytest

from attnprof.counting import count
from attnprof.errors import AttnprofError, Unsupported
from attnprof.shapes import Shape
from attnprof.targets import door


def test_the_core_costs_8_n_k_d() -> None:
    shape = Shape(n=1024, dim=64, heads=2, level="core")
    assert count(door.find("linformer"), shape, "forward").cost.flops_core_executed == 134_217_728


@pytest.mark.parametrize("n", [300, 1024])
def test_backward_keeps_one_matrix_of_weights_and_the_slots(n: int) -> None:
    rank, width, heads = 256, 64, 2
    shape = Shape(n=n, dim=width, heads=heads, level="core")
    saved = count(door.find("linformer"), shape, "train").cost.saved_bytes
    assert saved == 4 * (3 * n * width + heads * n * rank + 2 * rank * width)


def test_more_slots_than_tokens_are_clipped() -> None:
    assert door.find("linformer").resolve(100) == {"rank": 100, "sharing": "headwise"}


def test_it_has_no_causal_form() -> None:
    with pytest.raises(Unsupported, match="no causal form"):
        door.find("linformer").build(Shape(n=64, causal=True))


def test_an_unknown_sharing_is_named() -> None:
    with pytest.raises(AttnprofError, match="sharing"):
        door.find("linformer", params={"sharing": "heads"}).build(Shape(n=64))
