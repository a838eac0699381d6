"""Exact graphs of 65,536 tokens in about a second: every pair, every hop; and a thousand random draws."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from attnprof.graph.engines import bits
from attnprof.graph.ladder import solve
from attnprof.graph.layered import LayeredRelation
from attnprof.graph.randomness import trials
from attnprof.graph.reach import ReachRequest
from attnprof.pattern import Pattern
from attnprof.shapes import Shape
from attnprof.targets import door
from attnprof.units import Value

pytestmark = pytest.mark.slow
N = 65536
PATTERNS: dict[str, tuple[str, dict[str, Value]]] = {
    "longformer": ("longformer", {"global_tokens": 4}),
    "sparse_strided": ("sparse_strided", {}),
    "bigbird": ("bigbird", {}),
    "bigbird without globals": ("bigbird", {"global_blocks": 0}),
}


def pattern_of(name: str, params: dict[str, Value], n: int, seed: int = 0) -> Pattern:
    target = door.find(name, params=params)
    shape = Shape(n, causal=target.card.native_causal, heads=1, dim=64, seed=seed)
    return target.graph(shape)  # type: ignore[attr-defined]


@pytest.mark.parametrize("engine", ["auto", "slices", "slices in NumPy"])
@pytest.mark.parametrize("name", PATTERNS)
def test_all_pairs_at_64k(benchmark: Any, monkeypatch: pytest.MonkeyPatch, name: str, engine: str) -> None:
    stack = LayeredRelation.of(pattern_of(*PATTERNS[name], N))
    if engine == "slices in NumPy":
        monkeypatch.setattr(bits, "compiler_installed", lambda: False)
    elif engine == "slices" and not bits.compiler_installed():
        pytest.skip("numba is not installed (pip install attnprof[fast])")
    found = benchmark.pedantic(lambda: solve(stack, ReachRequest(), engine.split()[0]), rounds=3, warmup_rounds=1)
    benchmark.extra_info.update(scheme=name, engine=found.engine, n=N)
    assert found.full


@pytest.mark.parametrize("name", ["sliding_window", "longformer", "bigbird", "sparse_strided"])
def test_two_hops_at_a_million(benchmark: Any, name: str) -> None:
    stack = LayeredRelation.of(pattern_of(name, {}, 1 << 20))
    found = benchmark.pedantic(lambda: solve(stack, ReachRequest(layers=2)), rounds=1)
    benchmark.extra_info.update(scheme=name, engine=found.engine, n=1 << 20)
    assert found.certainty == "exact"


def test_a_thousand_draws_of_bigbird(benchmark: Any) -> None:
    def draw(seed: int) -> Pattern:
        return dataclasses.replace(pattern_of("bigbird", {"global_blocks": 0}, N, seed), layers=1)

    found = benchmark.pedantic(lambda: trials(draw, range(1000), 8), rounds=1)
    assert found.shares.shape == (1000, 8)
