"""A user's mask_mod, however it is written, gives the same edges in every verb; what is wrong with it is one error."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import attnprof
from attnprof.api import shape_of
from attnprof.checks import declared, referenced
from attnprof.checks.examined import CheckRequest, Examined
from attnprof.contracts import Target
from attnprof.errors import AttnprofError, TooLarge, Unsupported
from attnprof.shapes import Shape
from attnprof.targets import door
from attnprof.targets.mask_mod import in_slices, reads_head, tabulated
from attnprof.targets.scheme import CatalogTarget

N, DIM, HEADS = 96, 32, 4
D = DIM // HEADS
PLAIN = """
def causal(b, h, q_idx, kv_idx):
    return q_idx >= kv_idx


def nothing(b, h, q_idx, kv_idx):
    return (kv_idx <= q_idx) & (kv_idx > q_idx)


def first_eight_blind(b, h, q_idx, kv_idx):
    return kv_idx <= q_idx - 8


def even(b, h, q_idx, kv_idx):
    return (q_idx - kv_idx) % 2 == 0


def by_head(b, h, q_idx, kv_idx):
    return (q_idx >= kv_idx) & (q_idx - kv_idx <= h)


def constant(b, h, q_idx, kv_idx):
    return True


def branching(b, h, q_idx, kv_idx):
    if q_idx >= kv_idx:
        return True
    return False


def scores(b, h, q_idx, kv_idx):
    return (q_idx - kv_idx) * 0.5


def broken(b, h, q_idx, kv_idx):
    return q_idx >= missing
"""
WITH_NUMPY = """
import numpy as np

DOCUMENTS = np.repeat(np.arange(4), 24)


def documents(b, h, q_idx, kv_idx):
    return (DOCUMENTS[q_idx] == DOCUMENTS[kv_idx]).astype(bool)


def near(b, h, q_idx, kv_idx):
    return np.where(np.abs(q_idx - kv_idx) < 3, True, False)
"""
WITH_TORCH = """
import torch
from torch.nn.attention.flex_attention import and_masks, or_masks

DOCUMENTS = torch.arange(96) // 24
OFFSETS = torch.tensor([0, 24, 48, 72])


def documents(b, h, q_idx, kv_idx):
    return DOCUMENTS[q_idx] == DOCUMENTS[kv_idx]


def where(b, h, q_idx, kv_idx):
    return torch.where(q_idx < 8, kv_idx < 8, q_idx >= kv_idx)


def ragged(b, h, q_idx, kv_idx):
    local = q_idx - OFFSETS[DOCUMENTS[q_idx]], kv_idx - OFFSETS[DOCUMENTS[kv_idx]]
    return (DOCUMENTS[q_idx] == DOCUMENTS[kv_idx]) & (local[0] >= local[1])


def by_head(b, h, q_idx, kv_idx):
    return (q_idx - kv_idx).abs() <= torch.tensor([0, 1, 2, 3])[h]


def late(b, h, q_idx, kv_idx):
    import torch
    return torch.logical_and(q_idx >= kv_idx, q_idx - kv_idx < 4)


def _causal(b, h, q_idx, kv_idx):
    return q_idx >= kv_idx


both = and_masks(_causal, documents)
either = or_masks(_causal, documents)
"""
LOWER = N * (N + 1) // 2
TWENTY_FOUR = 24 * 25 // 2
# Edges over all heads, by hand.
EDGES = {
    "plain.py:causal": 4 * LOWER,
    "plain.py:nothing": 0,
    "plain.py:first_eight_blind": 4 * (N - 8) * (N - 7) // 2,
    "plain.py:even": 4 * N * N // 2,
    "plain.py:by_head": N + (2 * N - 1) + (3 * N - 3) + (4 * N - 6),
    "plain.py:constant": 4 * N * N,
    "arrays.py:documents": 4 * 4 * 24 * 24,
    "arrays.py:near": 4 * (N + 2 * (N - 1) + 2 * (N - 2)),
    "tensors.py:documents": 4 * 4 * 24 * 24,
    "tensors.py:where": 4 * (8 * 8 + LOWER - 8 * 9 // 2),
    "tensors.py:ragged": 4 * 4 * TWENTY_FOUR,
    "tensors.py:by_head": 4 * N + 3 * 2 * (N - 1) + 2 * 2 * (N - 2) + 2 * (N - 3),
    "tensors.py:late": 4 * (4 * N - 6),
    "tensors.py:both": 4 * 4 * TWENTY_FOUR,
    "tensors.py:either": 4 * (LOWER + 4 * (24 * 24 - TWENTY_FOUR)),
}
FILES = {"plain.py": PLAIN, "arrays.py": WITH_NUMPY, "tensors.py": WITH_TORCH}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of masks."""
    where = tmp_path_factory.mktemp("masks")
    for name, text in FILES.items():
        (where / name).write_text(text)
    return where


def found(folder: Path, name: str, impl: str | None = None) -> Target:
    """The mask of that name as a target."""
    return door.find(str(folder / name), impl=impl)


@pytest.mark.parametrize("name", EDGES)
@pytest.mark.parametrize("impl", ["gather", "masked"])
def test_useful_work_is_its_edges_in_every_pass(folder: Path, name: str, impl: str) -> None:
    """An edge is 2 products of width d, 2 FLOPs a multiply-add; training is three times that."""
    target = found(folder, name, impl)
    forward = attnprof.count(target, N, dim=DIM, heads=HEADS).cost
    train = attnprof.count(target, N, "train", dim=DIM, heads=HEADS).cost
    assert forward.flops_core_useful == 4 * D * EDGES[name]
    assert train.flops_core_useful == 3 * 4 * D * EDGES[name]
    assert forward.flops_core_executed is not None
    assert forward.flops_core_executed >= forward.flops_core_useful
    if impl == "masked":
        assert forward.flops_core_executed == 4 * D * HEADS * N * N


@pytest.mark.parametrize("name", EDGES)
@pytest.mark.parametrize("impl", ["gather", "masked"])
def test_what_runs_is_the_softmax_over_its_edges(folder: Path, name: str, impl: str) -> None:
    target = found(folder, name, impl)
    examined = Examined(target, shape_of(target, N, {"dim": DIM, "heads": HEADS}), CheckRequest())
    assert not [*declared.look(examined), *referenced.look(examined)]


@pytest.mark.parametrize("name", EDGES)
def test_a_graph_sees_its_edges(folder: Path, name: str) -> None:
    target = found(folder, name)
    assert isinstance(target, CatalogTarget)
    pattern = target.graph(Shape(n=N, heads=HEADS, dim=DIM))
    assert pattern.heads == (HEADS if name.endswith("by_head") else 1)
    per_head = [pattern.edges(0, head) for head in range(pattern.heads)]
    assert sum(per_head) * HEADS // len(per_head) == EDGES[name]


@pytest.mark.parametrize("name", [name for name in EDGES if "arrays" not in name])
def test_flex_counts_its_live_tiles(folder: Path, name: str) -> None:
    """96 tokens lie in one tile of 128 x 128, alive where any edge is."""
    cost = attnprof.count(found(folder, name, "flex"), N, "train", dim=DIM, heads=HEADS).cost
    live = 0 if name.endswith("nothing") else 1
    assert cost.flops_core_executed == live * HEADS * 128 * 128 * (4 * D + 10 * D)


def test_queries_that_see_nothing_give_zeros_and_no_nan(folder: Path) -> None:
    for name, blind in (("plain.py:nothing", N), ("plain.py:first_eight_blind", 8)):
        for impl in ("gather", "masked"):
            core = found(folder, name, impl).build(Shape(n=N, causal=True, heads=HEADS, dim=DIM, level="core"))  # type: ignore[arg-type]
            q, k, v = (torch.randn(1, HEADS, N, D, requires_grad=True) for _ in range(3))
            mixed = core(q, k, v)
            mixed.sum().backward()
            assert (mixed[:, :, :blind] == 0).all()
            assert mixed.isfinite().all()
            assert all(x.grad is not None and x.grad.isfinite().all() for x in (q, k, v))
    assert attnprof.analyze(found(folder, "plain.py:first_eight_blind"), n=N)["dead_queries"] == 8


@pytest.mark.parametrize(
    ("name", "load"),
    [("plain.py:causal", ""), ("arrays.py:documents", "import torch; "), ("tensors.py:ragged", "")],
)
def test_edges_are_the_same_with_and_without_torch(folder: Path, name: str, load: str) -> None:
    code = (
        f"import sys; {load}from attnprof.targets import door; from attnprof.shapes import Shape; "
        f"print(door.find({str(folder / name)!r}).graph(Shape(n={N})).edges(), 'torch' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == [str(EDGES[name] // 4), str(bool(load) or name.startswith("tensors"))]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("plain.py:branching", "mask_mod branching fails at n = "),
        ("plain.py:scores", "mask_mod scores returns float64, no booleans"),
        ("plain.py:broken", "line 37, mask_mod broken fails at n = "),
    ],
)
def test_a_mask_that_cannot_be_used_is_one_error_in_every_verb(folder: Path, name: str, told: str) -> None:
    target = found(folder, name)
    for verb in (attnprof.count, attnprof.check, attnprof.analyze):
        with pytest.raises(AttnprofError) as caught:
            verb(target, N)
        assert told in caught.value.message
        assert "(b, h, q_idx, kv_idx)" in caught.value.hint


def test_a_mask_has_a_longest_length() -> None:
    with pytest.raises(TooLarge, match="up to n = 32768; n is 65536"):
        tabulated(lambda b, h, i, j: i >= j, 65536)


def test_a_ragged_mask_is_refused_before_it_fills_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("attnprof.targets.mask_mod.MOST_SLICES", 1000)
    with pytest.raises(TooLarge, match="more than 1,000 separate runs"):
        tabulated(lambda b, h, i, j: (i * 7919 + j * 104729) % 11 < 4, 100)


@pytest.mark.parametrize("density", [0.0, 0.05, 0.5, 0.95, 1.0])
@pytest.mark.parametrize("n", [1, 7, 64])
def test_runs_are_the_mask(n: int, density: float) -> None:
    mask = np.random.default_rng(n).random((n, n)) < density
    mask[0, ::3] = True
    mask[-1] = np.arange(n) % 2 == 0
    assert (in_slices(n, np.arange(n), mask).dense() == mask).all()


def test_evenly_spaced_keys_are_one_slice() -> None:
    slices = tabulated(lambda b, h, i, j: (i - j) % 5 == 0, 100)
    assert len(slices.row) == 100
    assert slices.edges == 100 * 20


def test_whether_a_mask_looks_at_its_head() -> None:
    assert not reads_head(lambda b, h, i, j: i >= j)
    assert reads_head(lambda b, h, i, j: (i >= j) & (h == 0))
    assert reads_head(lambda b, h, i, j: torch.where(h % 2 == 0, i >= j, j >= i))
    assert reads_head(lambda b, h, i, j: i - j <= 2**h)


def test_a_captured_mask_is_counted_at_its_length(tmp_path: Path) -> None:
    """A CSR of 4 documents of 24 tokens, causal."""
    own = np.arange(N)
    row, key = np.nonzero((own[:, None] // 24 == own // 24) & (own[:, None] >= own))
    indptr = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=N))])
    np.savez(tmp_path / "mask.npz", indptr=indptr, indices=key)
    cost = attnprof.count(str(tmp_path / "mask.npz"), N, dim=DIM, heads=HEADS).cost
    assert cost.flops_core_useful == 4 * D * 4 * 4 * TWENTY_FOUR
    with pytest.raises(Unsupported, match="captured at n = 96, not 128"):
        attnprof.count(str(tmp_path / "mask.npz"), 128)


def test_of_a_captured_block_mask_the_edges_are_a_bound(tmp_path: Path) -> None:
    from torch.nn.attention.flex_attention import create_block_mask

    mask = create_block_mask(lambda b, h, i, j: i >= j, None, None, 256, 256, "cpu")
    torch.save(mask.as_tuple(flatten=False)[:-1], tmp_path / "mask.pt")
    counted = attnprof.count(str(tmp_path / "mask.pt"), 256, dim=DIM, heads=HEADS)
    assert counted.cost.flops_core_useful is None
    assert "partial tiles may hold anything" in counted.reasons["flops_core_useful"]
    assert counted.cost.flops_core_executed == 4 * D * HEADS * 3 * 128 * 128


LAZY = """
import torch
from attnprof.pattern import Drawn, Expr, KeyTable, Segments, Slices


class Mine(Expr):
    def slices(self, n):
        row, key = torch.nonzero(torch.ones(n, n).tril()).T.numpy()
        return Slices.from_pairs(n, row, key)


def resolve(n, *, kind="table", count=None):
    return {"count": int(torch.tensor([3.0]).sum())}


def edges(n, *, kind="table", count=None):
    return int(torch.arange(n + 1).sum()) if kind == "own" else None


def pattern(n, *, kind="table", count=None):
    if kind == "table":
        return KeyTable(torch.stack([torch.arange(n), torch.zeros(n, dtype=torch.int64)], 1))
    if kind == "drawn":
        own = torch.arange(n)
        return Drawn(lambda: Slices.from_pairs(n, own.repeat(2), torch.cat([torch.arange(n), torch.zeros(n)])))
    if kind == "bounds":
        return Segments(tuple(torch.arange(0, n, 24).tolist()))
    return Mine()
"""


@pytest.mark.parametrize("impl", ["gather", "masked"])
@pytest.mark.parametrize(
    ("kind", "edges"), [("table", 2 * N - 1), ("drawn", 2 * N - 1), ("bounds", 4 * 24 * 24), ("own", LOWER)]
)
def test_a_pattern_file_may_call_torch_wherever_it_is_asked(tmp_path: Path, kind: str, edges: int, impl: str) -> None:
    (tmp_path / "lazy.py").write_text(LAZY)
    target = attnprof.target(str(tmp_path / "lazy.py"), impl=impl, kind=kind)
    with torch.device("meta"):
        assert attnprof.count(target, N, "train", dim=DIM, heads=HEADS).cost.flops_core_useful == 3 * 4 * D * 4 * edges
    attnprof.check(target, N, dim=DIM, heads=HEADS)
