"""The cores of schemes grow as they claim from 1k to 64k, at their papers' parameters."""

from __future__ import annotations

import pytest

from attnprof.counting import count
from attnprof.shapes import Shape
from attnprof.stats import exponent
from attnprof.targets import catalog, door
from attnprof.words import Level

LENGTHS = (1024, 4096, 16384, 65536)
# Where a part of constant size, a tower of layers among latents, leads at the shorter lengths; and where segments grow.
LATER = {
    "longnet": (32768, 65536, 131072),
    "perceiver": (16384, 65536, 262144),
    "perceiver_ar": (16384, 65536, 262144),
}
WRITTEN = [name for name in catalog.names() if catalog.is_written(name, catalog.card(name))]


def counted(name: str, n: int) -> int:
    """FLOPs that the core executes, and those spent on choosing what it reads."""
    card = catalog.card(name)
    causal = card.native_causal or (card.growth is None and "causal: O" in card.complexity_ours)
    shape = Shape(n, causal=causal, level=Level.CORE)
    cost = count(door.find(name), shape, "forward").cost
    assert cost.flops_core_executed is not None
    assert cost.selection_flops is not None
    return cost.flops_core_executed + cost.selection_flops


@pytest.mark.parametrize("name", WRITTEN)
def test_the_core_grows_as_claimed(name: str) -> None:
    # At 1k a choice is of all there is.
    lengths = LENGTHS[1:] if catalog.card(name).data_dependent else LATER.get(name, LENGTHS)
    values = [counted(name, n) for n in lengths]
    fitted = exponent(lengths, values)
    assert fitted is not None
    found, claimed = fitted.slope, catalog.card(name).growth
    if claimed is None:
        assert 1.2 < found < 2
        assert "n^2" in catalog.card(name).complexity_ours
        # A linear term four times the quadratic one at 16k is as large at 64k: (4 * 4 + 16) / 5 = 6.4.
        assert values[-1] / values[-2] > 6.4, "the quadratic term leads at 64k"
    else:
        assert found == pytest.approx(claimed, abs=0.07)
