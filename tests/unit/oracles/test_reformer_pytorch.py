"""Reformer against the reformer-pytorch package, whose scores are divided by sqrt(d)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from attnprof.shapes import Shape
from attnprof.targets import door

reformer_pytorch = pytest.importorskip("reformer_pytorch", reason="reformer-pytorch is an oracle for tests only")

N, DIM, CHUNK = 64, 8, 8


@pytest.fixture(autouse=True)
def _float64() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


# With several rounds the package's correction counts a pair across two rounds 0 times, and adds 20 to its score.
@pytest.mark.parametrize(("rounds", "duplicates"), [(1, "kept"), (1, "once"), (3, "kept")])
@pytest.mark.parametrize("causal", [True, False], ids=["causal", "both-ways"])
def test_the_same_buckets_give_the_same_output_and_weights(causal: bool, rounds: int, duplicates: str) -> None:
    theirs = reformer_pytorch.LSHAttention(
        bucket_size=CHUNK,
        n_hashes=rounds,
        causal=causal,
        allow_duplicate_attention=duplicates == "kept",
        return_attn=True,
    ).eval()
    shape = Shape(N, batch=2, dim=DIM, heads=1, causal=causal, level="core", dtype="float64")
    ours = door.find("reformer", params={"chunk": CHUNK, "hashes": rounds, "duplicates": duplicates}).build(shape)
    qk, v = torch.randn(2, 2, 1, N, DIM)
    out, weights, buckets = theirs(qk[:, 0] * DIM**0.5, v[:, 0])
    offsets = (N // CHUNK) * torch.arange(rounds)
    ours.buckets = lambda qk: buckets.view(2, 1, rounds, N).transpose(2, 3) - offsets
    torch.testing.assert_close(ours(qk, v)[:, 0], out, rtol=1e-6, atol=1e-6)
    everything = torch.eye(N).expand(2, 1, N, N)
    ours_all = torch.cat([ours(qk, part) for part in everything.split(DIM, -1)], -1)
    torch.testing.assert_close(ours_all[:, 0], weights, rtol=1e-6, atol=1e-6)
