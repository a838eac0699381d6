"""Hashing, chunks and rounds: what random tokens read, what leaks, what does not."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from attnprof.shapes import Shape
from attnprof.targets import catalog, door


def core(n: int, causal: bool = True, **params: object) -> tuple[nn.Module, Tensor, Tensor]:
    """A core at small sizes, and its streams."""
    target = door.find("reformer", params={"chunk": 8, **params})  # type: ignore[dict-item]
    shape = Shape(n, dim=16, heads=2, causal=causal, level="core", dtype="float64")
    torch.manual_seed(1)
    return (target.build(shape), *target.inputs(shape))


@pytest.mark.parametrize(("n", "rounds", "degree"), [(1024, 1, 128), (1024, 4, 420), (4096, 4, 485), (4096, 8, 908)])
def test_random_tokens_read_as_many_keys_as_measured(n: int, rounds: int, degree: float) -> None:
    pattern = door.find("reformer", params={"hashes": rounds}).pattern(Shape(n))
    assert pattern.edges() / n == pytest.approx(degree, rel=0.01)
    assert pattern.edges_sum() == 128 * rounds * n


@pytest.mark.parametrize("n", [64, 100])
@pytest.mark.parametrize("causal", [True, False], ids=["causal", "both-ways"])
def test_the_sample_is_counted_without_spelling_it_out(n: int, causal: bool) -> None:
    pattern = door.find("reformer", params={"chunk": 8, "hashes": 1}).pattern(Shape(n, causal=causal))
    assert pattern.edges_sum() == pattern.edges()
    if causal:
        slices = pattern.slices()
        assert (slices.stop - 1 <= slices.row).all()


def test_a_later_token_moves_the_chunks_of_earlier_ones() -> None:
    """The leak on the card: the first output that changes lies well before the first token that does."""
    module, qk, v = core(128, hashes=2)
    moved = qk.clone()
    moved[:, :, 70:] = torch.randn_like(moved[:, :, 70:])
    changed = (module(moved, v) - module(qk, v)).abs().amax((0, 1, 3)) > 1e-9
    assert int(changed.nonzero()[0]) < 70
    assert catalog.entry("reformer").card.leaks


def test_with_the_chunks_held_nothing_leaks() -> None:
    module, qk, v = core(128, hashes=2)
    buckets = module.buckets(qk)
    module.buckets = lambda qk: buckets
    changed_qk, changed_v = qk.clone(), v.clone()
    changed_qk[:, :, 70:], changed_v[:, :, 70:] = 3.0, -2.0
    torch.testing.assert_close(module(changed_qk, changed_v)[:, :, :70], module(qk, v)[:, :, :70], rtol=0, atol=1e-12)


def test_a_token_reads_itself_only_where_there_is_nothing_else() -> None:
    module, qk, v = core(64, hashes=1)
    out = module(qk, v)
    torch.testing.assert_close(out[:, :, 0], v[:, :, 0])
    changed = v.clone()
    changed[:, :, 40] = 100.0
    back = module.order(module.buckets(qk))[1]
    chunk = back[..., 0, :] // 8
    earlier = ((chunk == chunk[..., 40, None]) | (chunk == (chunk[..., 40, None] - 1) % 8))[..., :40].any(-1)
    same = (module(qk, changed)[:, :, 40] == out[:, :, 40]).all(-1)
    assert (same == earlier).all()


def test_many_buckets_are_hashed_in_two_factors() -> None:
    from attnprof.schemes.reformer import factors
    from attnprof.targets.scheme import CatalogTarget

    target = door.find("reformer")
    assert isinstance(target, CatalogTarget)
    found = {n: factors(target.spec(Shape(n, causal=True))) for n in (100, 4096, 16384, 65536)}
    assert found == {100: (2,), 4096: (128,), 16384: (16, 32), 65536: (32, 64)}


def test_while_one_hash_has_all_buckets_hashing_is_quadratic() -> None:
    """n n_b d a round and head with n_b = 2 n / c, beside 4 n 2 c d of mixing."""
    target = door.find("reformer", params={"hashes": 2})
    shape = Shape(1024, dim=64, heads=2, causal=True)
    assert target.flops_selection(shape) == 2 * 1024 * 32 * 64
    assert target.flops_core(shape) == 2 * 8 * 1024 * 64 * 64


def test_heads_and_rounds_hash_differently() -> None:
    module, qk, _ = core(64, hashes=2)
    buckets = module.buckets(qk[:, :1].expand_as(qk)).numpy()
    assert (buckets[:, 0] != buckets[:, 1]).any()
    assert (buckets[..., 0] != buckets[..., 1]).any()
    assert np.unique(buckets).tolist() == list(range(16))
