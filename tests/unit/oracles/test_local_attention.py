"""Block-local attention and the 1-D Image Transformer against the local-attention package."""

from __future__ import annotations

import pytest
import torch

from attnprof.shapes import Shape
from attnprof.targets import door

local = pytest.importorskip("local_attention", reason="local-attention is an oracle for tests only")

DIM = 8


@pytest.mark.parametrize("n", [64, 50, 7])
@pytest.mark.parametrize(("causal", "back"), [(True, 0), (True, 1), (True, 2), (False, 0), (False, 1)])
def test_blocks_and_their_neighbours_read_the_same(n: int, causal: bool, back: int) -> None:
    if n % 16 and not causal:
        pytest.skip("the package lets bidirectional queries read what it pads with")
    theirs = local.LocalAttention(
        dim=DIM,
        window_size=16,
        causal=causal,
        look_backward=back,
        look_forward=0 if causal else back,
        use_rotary_pos_emb=False,
        autopad=True,
    )
    check("block_local", {"block": 16, "look_back": back}, n, causal, theirs)


@pytest.mark.parametrize("memory", [1, 2])
def test_an_image_in_one_dimension_is_blocks_with_a_memory_of_whole_blocks(memory: int) -> None:
    theirs = local.LocalAttention(
        dim=DIM,
        window_size=8,
        causal=True,
        look_backward=memory,
        look_forward=0,
        use_rotary_pos_emb=False,
        autopad=True,
    )
    check("image_1d", {"query_block": 8, "memory_block": 8 * memory}, 60, True, theirs)


def check(name: str, params: dict[str, int], n: int, causal: bool, theirs: torch.nn.Module) -> None:
    """The same output for the same q, k, v."""
    shape = Shape(n, batch=2, dim=2 * DIM, heads=2, causal=causal, level="core")
    ours = door.find(name, params=params).build(shape)
    q, k, v = torch.randn(3, 2, 2, n, DIM)
    torch.testing.assert_close(ours(q, k, v), theirs(q, k, v), rtol=1e-5, atol=1e-5)
