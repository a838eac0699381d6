"""Sampled query rows against softmax attention over the pattern's own keys: an oracle without n² at any length."""

from __future__ import annotations

import torch
from torch import Tensor

from attnprof.contracts import Target
from attnprof.pattern import Pattern, Slices
from attnprof.shapes import Shape
from attnprof.words import Level, Maths

ROWS = 8


def rows_off(target: Target, shape: Shape, device: str) -> float | None:
    """The largest difference over a few query rows at level `core`, relative to the rows' largest value.

    None where the rows of a target are not one softmax over the keys that its pattern names (kernels, slots, several
    softmaxes, several layers, streams beside q, k and v).
    """
    core = shape.replace(level=Level.CORE)
    pattern = target.pattern(core)
    plain = target.card.maths is Maths.PATTERN or bool(target.card.pattern_of)
    if pattern is None or not plain or target.layers > 1 or pattern.layers > 1 or len(pattern.expr().terms()) > 1:
        return None
    torch.manual_seed(shape.seed)
    streams = [x.to(device) for x in target.inputs(core)]
    if len(streams) != 3:
        return None
    module = target.build(core).to(device).eval()
    with torch.no_grad():
        output = module(*streams)
    return _worst(output, pattern, streams, core)


def softmax_row(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """One query `[d]` over its keys and values `[keys, d]`, in float64."""
    scores = k.double() @ q.double() * q.shape[-1] ** -0.5
    return torch.softmax(scores, -1) @ v.double()


def keys_of(slices: Slices, row: int) -> Tensor:
    """The keys that one query reads, each once."""
    mine = (slices.row == row).nonzero()[0]
    parts = [torch.arange(int(slices.start[i]), int(slices.stop[i]), int(slices.step[i])) for i in mine]
    return torch.cat(parts).unique() if parts else torch.zeros(0, dtype=torch.int64)


def _worst(output: Tensor, pattern: Pattern, streams: list[Tensor], shape: Shape) -> float | None:
    q, k, v = streams
    found, wanted = [], []
    for row in sorted({round(i * (shape.n - 1) / (ROWS - 1)) for i in range(ROWS)}):
        head = row % shape.heads
        keys = keys_of(pattern.slices(0, head), row).to(k.device)
        if len(keys):
            group = head * shape.groups // shape.heads
            found.append(output[0, head, row].double())
            wanted.append(softmax_row(q[0, head, row], k[0, group, keys], v[0, group, keys]))
    if not wanted:
        return None
    exact = torch.stack(wanted)
    return float((torch.stack(found) - exact).abs().max() / exact.abs().max().clamp_min(1e-30))
