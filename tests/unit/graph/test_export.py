from __future__ import annotations

import json
from pathlib import Path

import networkx
import numpy as np
import pytest
import scipy.sparse
import torch
from torch.nn.attention.flex_attention import create_block_mask

import attnprof
from attnprof.errors import AttnprofError
from attnprof.graph.export import digraph, digraph_of, export, save_csr
from attnprof.graph.subject import Subject
from attnprof.pattern import Band, Dense, Expr, Global, Pattern, Strided
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


def test_an_analysis_is_a_mapping_and_a_digraph() -> None:
    found = attnprof.analyze("sliding_window", 32, seeds=0)
    assert json.loads(json.dumps(found))["edges"] == found["edges"]
    graph = found.digraph()
    assert graph.number_of_edges() == found["edges"]
    assert (graph.graph["name"], graph.graph["n"]) == ("sliding_window", 32)
    assert all(not attributes for *_, attributes in graph.edges(data=True))
    with pytest.raises(AttnprofError, match="would take about"):
        attnprof.analyze("dense", 2048, layers=1).digraph()
    with pytest.raises(AttnprofError, match="tokens meet in slots"):
        attnprof.analyze("linformer", 64).digraph()


def test_edges_say_which_layers_and_heads_have_them_where_these_differ(tmp_path: Path) -> None:
    def draw(layer: int, head: int) -> Expr:
        return Global(1, rows=False) if layer else Band(head)

    subject = Subject(Pattern("two", 6, True, draw, layers=2, heads=3))
    graph = digraph_of(subject)
    assert graph.edges[4, 4] == {"layers": "1", "heads": "1,2,3"}
    assert graph.edges[4, 2] == {"layers": "1", "heads": "3"}
    assert graph.edges[4, 0] == {"layers": "2", "heads": "1,2,3"}
    assert graph.edges[1, 0] == {"layers": "1,2", "heads": "1,2,3"}
    assert digraph_of(subject, 1, 2).edges[3, 2] == {}
    assert digraph_of(subject, 1).edges[3, 2] == {"heads": "2,3"}
    for kind, read in (("graphml", networkx.read_graphml), ("gexf", networkx.read_gexf)):
        told = export(subject, tmp_path / f"a.{kind}", kind)
        export(subject, tmp_path / f"b.{kind}", kind)
        assert (tmp_path / f"a.{kind}").read_bytes() == (tmp_path / f"b.{kind}").read_bytes()
        back = read(tmp_path / f"a.{kind}", node_type=int)
        assert set(back.edges()) == set(graph.edges())
        assert told.edges == graph.number_of_edges()
        assert all(
            back.edges[edge][side] == graph.edges[edge][side] for edge in graph.edges for side in graph.edges[edge]
        )


def test_xml_holds_small_graphs_only(tmp_path: Path) -> None:
    subject = Subject(Pattern("all", 512, False, lambda layer, head: Dense()))
    with pytest.raises(AttnprofError, match="262,144 edges are more than a gexf file should hold"):
        export(subject, tmp_path / "a.gexf", "gexf")
