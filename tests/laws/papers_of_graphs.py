"""Who attends to whom in the schemes that are described as graphs only, as `papers` has it for those that run."""

from __future__ import annotations

from math import ceil
from typing import Any

import numpy as np

from attnprof.units import Value
from tests.laws.papers import Define, Mask, Through, complete


def hubs(i: Mask, j: Mask, *, n: int, causal: bool, count: int) -> Mask | Through:
    """Slots that read every token and are read by all; causal, running sums: all of the past."""
    return complete(i, j, causal=True) if causal else Through(np.ones((count, n), bool), np.ones((n, count), bool))


def luna(i: Mask, j: Mask, *, n: int, causal: bool, packed: int = 16, **_: Any) -> Mask | Through:
    """Ma et al. 2021, section 3.1: packed and unpacked."""
    return hubs(i, j, n=n, causal=causal, count=packed)


def perceiver(i: Mask, j: Mask, *, n: int, latents: int = 512, **_: Any) -> Mask | Through:
    """Jaegle et al. 2021, section 3.1, and 2022, section 3.1: encoded into latents, decoded from them."""
    return hubs(i, j, n=n, causal=False, count=latents)


def token_learner(i: Mask, j: Mask, *, n: int, tokens: int = 8, **_: Any) -> Mask | Through:
    """Ryoo et al. 2021, sections 2.1 and 2.3: learned tokens, and back to every place."""
    return hubs(i, j, n=n, causal=False, count=tokens)


def nystromformer(i: Mask, j: Mask, *, n: int, landmarks: int = 64, **_: Any) -> Mask | Through:
    """Xiong et al. 2021, equation 13: queries to landmarks, landmarks to keys; no more of them than tokens."""
    return hubs(i, j, n=n, causal=False, count=min(landmarks, n))


def perceiver_ar(i: Mask, j: Mask, *, n: int, layer: int, latents: int = 1024, **_: Any) -> Mask:
    """Hawthorne et al. 2022, section 3.1: the last tokens read all of the past, above that one another."""
    first = n - min(latents, n)
    return (i >= first) & (j <= i) & (j >= (0 if layer == 0 else first))


def longnet(
    i: Mask,
    j: Mask,
    *,
    n: int,
    causal: bool,
    head: int,
    segments: str = "2048,4096,8192,16384,32768",
    dilations: str = "1,2,4,6,12",
    **_: Any,
) -> Mask:
    """Ding et al. 2023, sections 2.2 and 2.3: in segments of w, each r-th place from the head's own on.

    A level whose segment holds all tokens ends the list: those above would be the same segment, thinner.
    """
    found = np.zeros((n, n), bool)
    for size, step in zip(map(int, segments.split(",")), map(int, dilations.split(",")), strict=True):
        taken = [(t % size) % step == head % step for t in (i, j)]
        found |= (i // size == j // size) & taken[0] & taken[1]
        if size >= n:
            break
    return found & (j <= i) if causal else found


def funnel(i: Mask, j: Mask, *, n: int, layer: int, stride: int = 2, **_: Any) -> Through:
    """Dai et al. 2020, section 2.2: pooled queries read every key; a token is below one pooled place."""
    slot = np.arange(ceil(n / stride**layer))
    return Through(np.ones((len(slot), n), bool), i // stride**layer == slot)


def poolingformer(
    i: Mask,
    j: Mask,
    *,
    n: int,
    window: int = 256,
    pooled_window: int = 1024,
    kernel: int = 5,
    stride: int = 4,
    **_: Any,
) -> Through:
    """Zhang et al. 2021, section 3.2: the near window, and pooled places that begin within the wide one."""
    begin = np.arange(ceil(n / stride)) * stride
    reads = (j >= begin[:, None]) & (j < begin[:, None] + kernel)
    return Through(reads, abs(i - begin) <= pooled_window // 2, abs(i - j) <= window // 2)


def long_short(
    i: Mask,
    j: Mask,
    *,
    n: int,
    causal: bool,
    window: int = 128,
    rank: int = 32,
    chunk: int = 16,
    chunk_rank: int = 1,
    **_: Any,
) -> Mask | Through:
    """Zhu et al. 2021, sections 3.2 and 3.3: the own block and half of one to each side, and projections of all tokens.

    Causal: the last tokens, and projections of every chunk before the own one. An odd window has blocks of one more.
    """
    if not causal:
        half = ceil(window / 2)
        first = i // (2 * half) * 2 * half
        near = (j >= first - half) & (j < first + 3 * half)
        return Through(np.ones((rank, n), bool), np.ones((n, rank), bool), near)
    near = (j <= i) & (i - j < window)
    of = np.arange(n // chunk * chunk_rank) // chunk_rank
    return Through(j // chunk == of[:, None], of < i // chunk, near) if len(of) else near


DEFINITIONS: dict[str, tuple[Define, list[dict[str, Value]]]] = {
    "delta_product": (complete, []),
    "deltanet": (complete, []),
    "differential": (complete, []),
    "fox": (complete, []),
    "fnet": (complete, []),
    "funnel": (funnel, [{"stride": 3}]),
    "gated_deltanet": (complete, []),
    "gla": (complete, []),
    "gqa": (complete, []),
    "hgrn2": (complete, []),
    "hyena": (complete, []),
    "kda": (complete, []),
    "lightning": (complete, []),
    "long_short": (
        long_short,
        [{"window": 8, "rank": 3, "chunk": 4}, {"window": 4, "chunk": 8, "chunk_rank": 3}, {"window": 7}],
    ),
    "longnet": (
        longnet,
        [
            {"segments": "8,16,32", "dilations": "1,2,4"},
            {"segments": "4,12", "dilations": "2,3"},
            {"segments": "16,64,256", "dilations": "1,4,16"},
        ],
    ),
    "luna": (luna, [{"packed": 3}]),
    "log_linear": (complete, []),
    "mamba2": (complete, []),
    "mamba3": (complete, []),
    "mla": (complete, []),
    "nystromformer": (nystromformer, [{"landmarks": 5}]),
    "path": (complete, []),
    "perceiver": (perceiver, [{"latents": 7}]),
    "perceiver_ar": (perceiver_ar, [{"latents": 7}]),
    "poolingformer": (
        poolingformer,
        [
            {"window": 8, "pooled_window": 24, "kernel": 5, "stride": 4},
            {"window": 4, "pooled_window": 10, "kernel": 2, "stride": 3},
        ],
    ),
    "retnet": (complete, []),
    "rwkv7": (complete, []),
    "rfa": (complete, []),
    "ring": (complete, []),
    "synthesizer": (complete, []),
    "token_learner": (token_learner, [{"tokens": 3}]),
}
