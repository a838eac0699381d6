"""The one door: whatever a user holds goes through it, as an object or as `file.py:object`, and every verb takes it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse
import torch
from torch import Tensor, nn
from torch.nn.attention.flex_attention import BlockMask, create_block_mask

import attnprof
from attnprof import AttnprofError
from attnprof.pattern import Band, Global
from attnprof.shapes import Shape

N, D = 64, 32
EDGES = sum(min(i, 4) + 1 for i in range(N))  # a causal window of five


def near(b: Tensor, h: Tensor, q_idx: Tensor, kv_idx: Tensor) -> Tensor:
    return (q_idx >= kv_idx) & (q_idx - kv_idx <= 4)


def csr() -> scipy.sparse.csr_array:
    return scipy.sparse.csr_array(dense())


def dense() -> np.ndarray:
    i, j = np.indices((N, N))
    return (i >= j) & (i - j <= 4)


def tiled() -> BlockMask:
    return create_block_mask(near, None, None, N, N, device="cpu", BLOCK_SIZE=16)


def tiles_alone() -> BlockMask:
    """Two full tiles of 32 x 32 on the diagonal, and no mask_mod."""
    return BlockMask.from_kv_blocks(
        torch.ones(1, 1, 2, dtype=torch.int32), torch.tensor([[[[0, 1], [1, 0]]]]), BLOCK_SIZE=32
    )


class Own(nn.Module):
    """Names its width as torch does; its heads are an attribute of the built one."""

    def __init__(self, embed_dim: int, num_heads: int = 4) -> None:
        super().__init__()
        self.embed_dim, self.num_heads = embed_dim, num_heads
        self.qkv = nn.Linear(embed_dim, 3 * embed_dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        b, n, width = x.shape
        q, k, v = self.qkv(x).view(b, n, 3, self.num_heads, -1).permute(2, 0, 3, 1, 4)
        return nn.functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(b, n, width)


def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return (q @ k.transpose(-1, -2)).softmax(-1) @ v


def factory(embed_dim: int) -> nn.Module:
    return Own(embed_dim)


PATTERNS: dict[str, Callable[[], Any]] = {
    "expression": lambda: Band(4, 0),
    "mask_mod": lambda: near,
    "lambda": lambda: lambda b, h, i, j: (i >= j) & (i - j <= 4),
    "csr": csr,
    "boolean mask": dense,
    "boolean tensor": lambda: torch.from_numpy(dense()),
    "BlockMask": tiled,
}
MODULES: dict[str, Callable[[], Any]] = {
    "module": lambda: Own(D),
    "class": lambda: Own,
    "factory": lambda: factory,
    "MultiheadAttention": lambda: nn.MultiheadAttention(D, 4, bias=False, batch_first=True),
}


@pytest.mark.parametrize("name", PATTERNS)
def test_every_verb_takes_a_pattern(name: str) -> None:
    thing = PATTERNS[name]()
    assert attnprof.analyze(thing, n=N, layers=1)["edges"] == EDGES
    counted = attnprof.count(thing, n=N, dim=D, heads=4).cost
    assert counted.flops_core_useful == 4 * EDGES * D
    assert attnprof.count(attnprof.target(thing), n=N, dim=D, heads=4).cost == counted
    attnprof.check(thing, N, dim=D, heads=4)
    assert attnprof.target(thing).card.native_causal


@pytest.mark.parametrize("name", MODULES)
def test_every_verb_takes_a_module(name: str) -> None:
    thing, sizes = MODULES[name](), {"dim": D, "heads": 4}
    given = {} if isinstance(thing, nn.Module) else {"dim": D} if name == "factory" else sizes
    cost = attnprof.count(thing, n=N, **given).cost
    projections = 8 if name == "MultiheadAttention" else 6
    assert cost.flops_executed == projections * N * D * D + 4 * N * N * D
    if name != "factory":  # a function that makes a module does not say what it is made of
        assert attnprof.analyze(thing, n=32, **given)["edges"] == 32 * 32
    assert attnprof.profile(thing, N, budget_s=0.05, **given).measured is not None
    assert attnprof.limit(thing, "64MiB", "forward", **given).n >= 512


def test_a_function_on_streams_is_attention() -> None:
    cost = attnprof.count(attend, n=N, dim=D, heads=4).cost
    assert cost.flops_executed == cost.flops_core_executed == 4 * N * N * D


def test_full_tiles_need_no_mask_mod_and_heads_may_differ() -> None:
    assert attnprof.analyze(tiles_alone(), n=64, layers=1)["edges"] == 2 * 32 * 32

    def by_head(b: Tensor, h: Tensor, i: Tensor, j: Tensor) -> Tensor:
        return i - j <= h

    mask = create_block_mask(by_head, None, 2, N, N, device="cpu", BLOCK_SIZE=16)
    pattern = attnprof.target(mask).pattern(Shape(N, heads=2, dim=D))
    assert pattern is not None
    held = np.subtract.outer(np.arange(N), np.arange(N))
    assert [pattern.edges(0, head) for head in (0, 1)] == [int((held <= head).sum()) for head in (0, 1)]


def test_a_built_module_has_the_sizes_that_it_has() -> None:
    target = attnprof.target(Own(D))
    assert attnprof.count(target, n=N).cost == attnprof.count(Own, n=N, dim=D, heads=4).cost
    with pytest.raises(AttnprofError, match="has dim = 32, and dim = 64 is asked for"):
        attnprof.count(target, n=N, dim=64)


def test_arguments_are_sizes_by_whatever_name() -> None:
    for target in (attnprof.target(Own, embed_dim=D, num_heads=2), attnprof.target(f"{__file__}:Own", embed_dim=D)):
        assert attnprof.count(target, n=N).cost.flops_executed == 6 * N * D * D + 4 * N * N * D


def test_keywords_that_are_no_sizes_are_parameters() -> None:
    narrow = attnprof.count("sliding_window", n=256, window=16).cost
    assert narrow == attnprof.count(attnprof.target("sliding_window", window=16), n=256).cost
    with pytest.raises(AttnprofError, match="unknown parameter of sliding_window 'windw'") as refused:
        attnprof.count("sliding_window", n=256, windw=16)
    assert "window" in refused.value.hint


def test_objects_of_a_file_are_what_they_are(tmp_path: Path) -> None:
    (tmp_path / "held.py").write_text(
        "import torch\nfrom attnprof.pattern import Band, Global\n"
        "expression = Band(4, 0) | Global(2)\nmodule = torch.nn.Linear(8, 8)\nnumber = 3\n"
    )
    text = f"{tmp_path / 'held.py'}"
    expected = attnprof.analyze(Band(4, 0) | Global(2), n=N, layers=1)["edges"]
    assert attnprof.analyze(f"{text}:expression", n=N, layers=1)["edges"] == expected
    assert attnprof.count(f"{text}:module", n=N).cost.flops_executed == 2 * N * 8 * 8
    with pytest.raises(AttnprofError, match="number is of type int") as refused:
        attnprof.target(f"{text}:number")
    assert "Band(4)" in refused.value.hint


REFUSED: dict[str, tuple[Any, str]] = {
    "number": (3, "a target is"),
    "integers": (np.ones((4, 4)), "True where"),
    "oblong": (np.ones((4, 5), dtype=np.bool_), "True where"),
    "dotted": ("torch.nn.MultiheadAttention", "torch.nn:MultiheadAttention"),
    "a file of another kind": (str(Path(__file__).parents[3] / "README.md"), "a target is"),
    "a typo": ("longfomer", "longformer"),
    "no file": ("nothing.py", "path of a .py file"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_target_is_one_error_with_a_hint(name: str) -> None:
    thing, hint = REFUSED[name]
    with pytest.raises(AttnprofError) as refused:
        attnprof.target(thing)
    assert hint in refused.value.hint


def test_a_target_comes_back_as_it_is() -> None:
    target = attnprof.target("dense")
    assert attnprof.target(target) is target


def test_forms_and_runs_have_their_verbs(tmp_path: Path) -> None:
    assert attnprof.forms("dense").forms["forward_core"].text == "2048*n**2"
    with pytest.raises(AttnprofError):
        attnprof.read_run(tmp_path)


def test_a_pattern_of_every_token_alone_passes_the_gate() -> None:
    """No score matters then: gradients of queries and keys are 0, and what rounding leaves of them is no difference."""
    attnprof.check(Band(0, 0), N, dim=D, heads=4)
