from __future__ import annotations

from pathlib import Path

import networkx
import numpy as np
import pytest
import scipy.sparse
import torch
from torch.nn.attention.flex_attention import create_block_mask

from attnprof.errors import AttnprofError
from attnprof.graph.export import digraph, save_csr
from attnprof.pattern import Band, Global, Strided
from attnprof.shapes import Shape
from attnprof.targets.captured import captured, load_csr


def test_csr_goes_to_disk_and_back_and_scipy_reads_it(tmp_path: Path) -> None:
    slices = (Band(3, 3) | Strided(7)).slices(64)
    save_csr(slices, tmp_path / "mask.npz")
    assert load_csr(tmp_path / "mask.npz").dense().tolist() == slices.dense().tolist()
    by_scipy = scipy.sparse.load_npz(tmp_path / "mask.npz")
    assert by_scipy.toarray().tolist() == slices.dense().tolist()


def test_what_scipy_saved_is_read(tmp_path: Path) -> None:
    mask = np.tril(np.ones((10, 10)))
    scipy.sparse.save_npz(tmp_path / "m.npz", scipy.sparse.csr_array(mask))
    target = captured(tmp_path / "m.npz")
    assert target.card.paper_n == 10
    assert target.graph(Shape(n=10)).dense().tolist() == mask.astype(bool).tolist()


def test_a_captured_mask_has_one_length(tmp_path: Path) -> None:
    save_csr(Band(1).slices(16), tmp_path / "m.npz")
    with pytest.raises(AttnprofError, match="was captured at n = 16, not 32"):
        captured(tmp_path / "m.npz").graph(Shape(n=32)).slices()


@pytest.mark.parametrize(
    ("held", "message"),
    [
        ({"a": np.ones(3)}, "needs indptr and indices"),
        ({"indptr": np.asarray([0, 2, 1]), "indices": np.asarray([0])}, "does not rise"),
        ({"indptr": np.asarray([0, 1]), "indices": np.asarray([5])}, "names the key 5 of 1"),
        ({"indptr": np.asarray([0, 1]), "indices": np.asarray([0]), "shape": np.asarray([1, 4])}, "1 x 4"),
    ],
)
def test_a_file_that_is_no_csr_is_refused(tmp_path: Path, held: dict[str, np.ndarray], message: str) -> None:
    np.savez(tmp_path / "m.npz", **held)
    with pytest.raises(AttnprofError, match=message):
        load_csr(tmp_path / "m.npz")


def test_a_digraph_points_from_query_to_key_and_is_guarded() -> None:
    graph = digraph((Band(2) | Global(1, rows=False)).slices(50))
    assert isinstance(graph, networkx.DiGraph)
    assert graph.has_edge(9, 7)
    assert not graph.has_edge(7, 9)
    assert graph.has_edge(40, 0)
    with pytest.raises(AttnprofError, match="would take about"):
        digraph(Band(512, 512).slices(4096))


def test_full_tiles_of_a_block_mask_are_exact(tmp_path: Path) -> None:
    mask = create_block_mask(lambda b, h, q, k: (q // 128 - k // 128).abs() <= 1, None, None, 512, 512, device="cpu")
    torch.save(mask.as_tuple(flatten=False)[:-1], tmp_path / "mask.pt")
    target = captured(tmp_path / "mask.pt")
    blocks = np.arange(512) // 128
    assert target.graph(Shape(n=512)).dense().tolist() == (abs(blocks[:, None] - blocks) <= 1).tolist()
    assert target.card.notes == ()


def test_partial_tiles_without_their_rule_give_bounds_and_say_so(tmp_path: Path) -> None:
    mask = create_block_mask(lambda b, h, q, k: q >= k, None, None, 256, 256, device="cpu")
    torch.save(
        {**dict(zip(NAMES, mask.as_tuple(flatten=False), strict=False)), "BLOCK_SIZE": (128, 128)}, tmp_path / "m.pt"
    )
    target = captured(tmp_path / "m.pt")
    assert "may hold anything" in target.card.notes[0]
    assert target.graph(Shape(n=256)).edges() == 3 * 128 * 128
    assert target.sure is not None
    assert target.sure.edges == 128 * 128


NAMES = ("seq_lengths", "kv_num_blocks", "kv_indices", "full_kv_num_blocks", "full_kv_indices")


def test_any_other_tensor_file_is_refused(tmp_path: Path) -> None:
    torch.save(torch.ones(3), tmp_path / "m.pt")
    with pytest.raises(AttnprofError, match="holds no BlockMask"):
        captured(tmp_path / "m.pt")
