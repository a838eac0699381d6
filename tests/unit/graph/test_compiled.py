"""The compiled loops give the bits that NumPy gives, whatever the mask; without numba they are not used."""

from __future__ import annotations

import numpy as np
import pytest

from attnprof.graph.engines import compiled, csr, slices
from attnprof.graph.ladder import solve
from attnprof.graph.reach import Ask
from attnprof.graph.stack import Stack
from attnprof.pattern import Band, Global, KeyTable
from tests.unit.graph.zoo import stack_of, zoo

needs_numba = pytest.mark.skipif(not compiled.installed(), reason="numba is not installed (pip install attnprof[fast])")


@needs_numba
@pytest.mark.parametrize("engine", [slices, csr], ids=["slices", "csr"])
@pytest.mark.parametrize("n", [37, 700])
@pytest.mark.parametrize("name", list(zoo(64)))
def test_compiled_and_numpy_agree_bit_for_bit(
    monkeypatch: pytest.MonkeyPatch, name: str, n: int, engine: object
) -> None:
    stack, ask = stack_of(name, n), Ask(side=16)
    plain = engine.run(stack, ask)  # type: ignore[attr-defined]
    monkeypatch.setattr(compiled, "WORTH", 0)
    fast = engine.run(stack, ask)  # type: ignore[attr-defined]
    assert "numba" in fast.engine
    assert plain.engine == ""
    assert fast.layers == plain.layers
    for field in ("histogram", "farthest_out", "farthest_in"):
        assert np.array_equal(getattr(fast, field), getattr(plain, field))
    assert fast.images.keys() == plain.images.keys()
    assert all(np.array_equal(fast.images[k], plain.images[k]) for k in plain.images)


@needs_numba
def test_a_long_sequence_is_searched_compiled_and_says_so() -> None:
    table = np.random.default_rng(0).integers(0, 4096, (4096, 3))
    assert solve(Stack.single((KeyTable(table) | Band(2, 2)).slices(4096)), engine="csr").engine == "csr (numba)"


def test_without_numba_numpy_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "installed", lambda: False)
    found = solve(Stack.single((Band(64, 64) | Global(1)).slices(4096)), engine="slices")
    assert (found.engine, found.layers_to_full) == ("slices", 2)
