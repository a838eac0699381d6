"""The compressed and the chosen branch of NSA against the naive functions of `fla-core` (0.6.0), in float32."""

from __future__ import annotations

import pytest
import torch

from attnprof.shapes import Shape
from attnprof.targets import door

naive = pytest.importorskip("fla.ops.nsa.naive", reason="fla-core is not installed: make oracles")


@pytest.mark.parametrize("n", [8, 41])
def test_compressed_and_chosen_blocks_are_the_naive_ones(n: int) -> None:
    """Theirs compresses blocks as it chooses them, whole and apart; the window is not theirs, and its gate is shut."""
    block, selected, heads, groups, d = 8, 3, 4, 2, 8
    params = {"window": 1, "block": block, "selected": selected, "compress": block, "stride": block}
    shape = Shape(n, batch=2, dim=heads * d, heads=heads, kv_heads=groups, causal=True, level="core")  # type: ignore[arg-type]
    core = door.find("nsa", params=params).build(shape)  # type: ignore[arg-type]
    torch.manual_seed(0)
    q, k, v = (torch.randn(2, n, count, d) for count in (heads, groups, groups))
    padded = [torch.nn.functional.pad(x, (0, 0, 0, 0, 0, -n % block)) for x in (k, v)]
    k_c, v_c = (x.unflatten(1, (-1, block)).mean(2) for x in padded)  # the last, where short, is seen by nobody
    scale, gates = d**-0.5, torch.rand(2, n, heads, 2)
    compressed, _ = naive.naive_nsa_compression(q, k_c, v_c, block, scale)
    chosen = naive.naive_nsa_selection(q, k, v, naive.naive_nsa_topk(q, k_c, selected, block, scale), block, scale)
    expected = gates[..., :1] * compressed + gates[..., 1:] * chosen
    slots = n // block
    streams = [x.transpose(1, 2) for x in (q, k_c[:, :slots], v_c[:, :slots], k, v, k, v)]
    found = core(*streams, torch.cat([gates, 0 * gates[..., :1]], -1).transpose(1, 2))
    torch.testing.assert_close(found, expected.transpose(1, 2), rtol=1e-4, atol=1e-5)
