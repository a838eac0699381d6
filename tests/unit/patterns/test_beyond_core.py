"""Known counts, hops and statistics of the schemes beyond the core ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from attnprof.pattern import Pattern, Slots
from attnprof.shapes import Shape
from attnprof.targets import catalog, door
from attnprof.targets.scheme import CatalogTarget
from attnprof.units import Value
from attnprof.userfiles import run_file


def found(name: str, params: dict[str, Value]) -> CatalogTarget:
    return CatalogTarget.of(catalog.entry(name), params, None)


def drawn(name: str, n: int, causal: bool, *, heads: int = 1, seed: int = 0, **params: Any) -> Pattern:
    shape = Shape(n=n, causal=causal, heads=heads, dim=8 * heads, seed=seed)
    return found(name, params).graph(shape)


def hops(mask: np.ndarray) -> np.ndarray:
    """Layers until each pair is covered, self-loops added; 0 where never."""
    step = (mask | np.eye(len(mask), dtype=bool)).astype(np.float32)
    reach, found, layer = np.eye(len(mask), dtype=np.float32), np.zeros(mask.shape, dtype=int), 0
    while True:
        layer += 1
        wider = (step @ reach > 0).astype(np.float32)
        found[(wider > 0) & (reach == 0)] = layer
        if (wider == reach).all():
            return found
        reach = wider


GOLDEN = [
    ("sinks", True, {"window": 64, "sinks": 4}, 1024, 67_354),
    ("sinks", True, {"window": 64, "sinks": 4}, 4096, 276_250),
    ("log_sparse", True, {}, 1024, 10_241),
    ("log_sparse", True, {}, 4096, 49_153),
    ("power", True, {}, 1024, 10_241),
    ("star", False, {}, 1024, 3 * 1024 - 2),
    ("longnet", False, {"segments": "64,256,1024", "dilations": "1,4,16"}, 1024, 80_896),
    ("longnet", False, {"segments": "64,256,1024", "dilations": "1,4,16"}, 4096, 323_584),
]


@pytest.mark.parametrize(("name", "causal", "params", "n", "edges"), GOLDEN, ids=lambda v: str(v))
def test_edges_are_those_known(name: str, causal: bool, params: dict[str, Any], n: int, edges: int) -> None:
    pattern = drawn(name, n, causal, **params)
    target = found(name, params)
    assert pattern.edges() == edges
    assert target.edges(Shape(n=n, causal=causal, heads=1, dim=8)) == edges


@pytest.mark.parametrize(("n", "edges"), [(1024, 86_016), (4096, 344_064)])
def test_longnet_counts_a_pair_once_a_level_for_cost(n: int, edges: int) -> None:
    assert drawn("longnet", n, False, segments="64,256,1024", dilations="1,4,16").edges_sum() == edges


def test_longnet_doubling_segments_stay_below_their_bound() -> None:
    pattern = drawn("longnet", 256, False, segments="4,8,16,32,64,128,256", dilations="1,2,4,8,16,32,64")
    assert pattern.edges() <= 256 * 4 * 2
    assert pattern.edges_sum() <= 256 * 4 * 2


@pytest.mark.parametrize(
    ("name", "params", "layers"),
    [
        ("sinks", {"window": 64, "sinks": 4}, 4),
        ("sinks", {"window": 64, "sinks": 0}, 5),
        ("log_sparse", {}, 8),
        ("power", {}, 8),
        ("longnet", {"segments": "64,256,1024", "dilations": "1,4,16"}, 3),
        ("star", {}, 2),
    ],
    ids=lambda v: str(v),
)
def test_layers_to_full_reach_at_256(name: str, params: dict[str, Any], layers: int) -> None:
    causal = name not in ("longnet", "star")
    found = hops(drawn(name, 256, causal, **params).dense())
    pairs = np.tril(np.ones((256, 256), bool), -1) if causal else ~np.eye(256, dtype=bool)
    assert (found[pairs] > 0).all()
    assert found.max() == layers


def test_causal_longnet_leaves_holes_that_no_depth_fills() -> None:
    options: dict[str, Any] = {"segments": "4,8,16,32,64,128,256", "dilations": "1,2,4,8,16,32,64"}
    pattern = drawn("longnet", 256, True, heads=64, **options)
    allowed = 256 * 257 // 2
    one = np.count_nonzero(hops(pattern.dense())) + 256
    heads = np.count_nonzero(hops(pattern.union().dense())) + 256
    assert one / allowed == pytest.approx(0.148, abs=5e-4)
    assert heads / allowed == pytest.approx(0.739, abs=5e-4)


def test_power_hops_are_the_binary_ones_of_the_distance() -> None:
    found = hops(drawn("power", 128, True).dense())
    i, j = np.tril_indices(128, -1)
    assert (found[i, j] == np.bitwise_count(i - j)).all()


def test_sinks_shorten_no_path_but_their_own() -> None:
    with_sinks = hops(drawn("sinks", 128, True, window=16, sinks=4).dense())
    without = hops(drawn("sinks", 128, True, window=16, sinks=0).dense())
    assert (with_sinks[:, 4:] == without[:, 4:]).all()
    assert (with_sinks[:, :4] <= 1).all()


def test_power_in_blocks_has_whole_blocks_at_powers_of_two() -> None:
    mask = drawn("power", 64, True, block=8).dense()
    blocks = mask.reshape(8, 8, 8, 8).any(axis=(1, 3))
    lag = np.arange(8)[:, None] - np.arange(8)
    assert (blocks == np.isin(lag, [0, 1, 2, 4])).all()


@pytest.mark.parametrize(("alpha", "support"), [(1.5, 18.8), (2.0, 4.9)])
def test_entmax_support_is_that_of_random_scores(alpha: float, support: float) -> None:
    pattern = drawn("entmax", 1024, False, alpha=alpha)
    assert pattern.edges() / 1024 == pytest.approx(support, rel=0.15)


def test_entmax_weights_at_the_threshold_add_up_to_one() -> None:
    module = run_file(catalog.entry("entmax").path)
    scores = np.random.default_rng(0).standard_normal((16, 200)).astype(np.float32)
    for alpha in (1.2, 1.5, 2.0):
        scaled = (alpha - 1) * scores
        tau = module._threshold(scaled, 1 / (alpha - 1))
        weights = np.maximum(scaled - tau[:, None], 0) ** (1 / (alpha - 1))
        assert weights.sum(axis=1) == pytest.approx(np.ones(16), abs=1e-5)


def test_moba_reads_its_own_block_and_the_best_past_blocks() -> None:
    mask = drawn("moba", 256, True, block=32, topk=3).dense()
    blocks = mask.reshape(256, 8, 32).sum(axis=2)
    own = np.arange(256) // 32
    assert (blocks[np.arange(256), own] == np.arange(256) % 32 + 1).all()
    chosen = np.where(np.arange(8) < own[:, None], blocks, 0)
    assert set(np.unique(chosen)) == {0, 32}
    assert ((chosen > 0).sum(axis=1) == np.minimum(own, 2)).all()


def test_dsa_reads_everything_up_to_topk_and_topk_after() -> None:
    degrees = drawn("dsa", 300, True, topk=64).slices().out_degree()
    assert (degrees == np.minimum(np.arange(300) + 1, 64)).all()


def test_nsa_keeps_the_first_and_the_two_last_blocks_and_the_window() -> None:
    expr = drawn("nsa", 1024, True, window=64, selected=4).expr()
    assert isinstance(expr, Slots)
    assert expr.direct is not None
    mask = expr.direct.slices(1024).dense()
    i = np.arange(1024)
    assert mask[:, 0].all()
    assert all(mask[t, max(t // 64 - 1, 0) * 64 : t + 1].all() for t in i)
    assert (expr.direct.slices(1024).out_degree() <= 4 * 64 + 64).all()
    complete = np.maximum((i + 1 - 32) // 16 + 1, 0)
    assert (expr.writes.out_degree() == complete).all()


@pytest.mark.parametrize(("n", "keys"), [(8192, 2047), (16384, 2559), (32768, 3583), (65536, 5631)])
def test_nsa_reads_as_many_keys_as_the_paper_says(n: int, keys: int) -> None:
    target = door.find("nsa")
    whole, shorter = (target.flops_paper(Shape(n=length, causal=True, heads=1, dim=1)) for length in (n, n - 1))
    assert whole is not None
    assert shorter is not None
    assert whole - shorter == 4 * keys


def test_clustered_queries_of_one_cluster_share_their_exact_keys() -> None:
    expr = drawn("clustered", 256, False, clusters=8, topk=16).expr()
    assert isinstance(expr, Slots)
    assert expr.direct is not None
    cluster = expr.writes.start
    mask = expr.direct.slices(256).dense()
    assert (mask.sum(axis=1) == 16).all()
    for one in np.unique(cluster):
        rows = mask[cluster == one]
        assert (rows == rows[0]).all()


def test_clusterformer_chunks_partition_the_tokens() -> None:
    mask = drawn("clusterformer", 300, False, window=64, stride=48, clusters=10).dense(layer=1)
    assert (mask == mask.T).all()
    assert (mask.astype(int) @ mask > 0).sum() == mask.sum()
    assert sorted(np.unique(mask.sum(axis=1))) == [44, 64]


def test_seeds_and_heads_draw_apart() -> None:
    first = drawn("moba", 512, True, heads=2, block=32)
    other = drawn("moba", 512, True, heads=2, block=32, seed=1)
    assert (first.dense(0, 0) != first.dense(0, 1)).any()
    assert (first.dense() != other.dense()).any()


def test_retention_fades_more_slowly_from_head_to_head() -> None:
    pattern = drawn("retnet", 64, True, heads=8)
    decays = [pattern.expr(0, head).decay for head in range(8)]  # type: ignore[attr-defined]
    assert decays == [1 - 2.0 ** (-5 - head) for head in range(8)]


def test_perceiver_ar_predicts_from_its_latents_alone() -> None:
    pattern = drawn("perceiver_ar", 64, True, latents=16)
    assert (pattern.slices(0).out_degree() == np.where(np.arange(64) >= 48, np.arange(64) + 1, 0)).all()
    assert (pattern.slices(1).out_degree() == np.maximum(np.arange(64) - 47, 0)).all()
