"""A past cut into stretches of 1, 2, 4, ... tokens, each with a state and a weight of its own (Guo et al. 2025)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from attnprof.layers.chunk_scan import fades, summed_logs, wide


def level_of(rows: int, device: torch.device) -> Tensor:
    """The level on which row i reads row j: the length of i xor j in bits, 0 for its own, `[rows, rows]`."""
    i = torch.arange(rows, device=device)
    bits = torch.arange(rows.bit_length(), device=device)
    return ((i[:, None] ^ i)[..., None] >> bits > 0).sum(-1)


def within(q: Tensor, k: Tensor, v: Tensor, g: Tensor, scales: Tensor) -> Tensor:
    """What rows read of their own chunk, `[b, h, N, C, d_v]`: `scales [b, h, N, C, levels]`, q and k of fewer heads."""
    rows, repeat = q.shape[-2], v.shape[1] // k.shape[1]
    level = level_of(rows, q.device).expand(*scales.shape[:-1], -1)
    scores = (q @ k.mT).repeat_interleave(repeat, 1) if repeat > 1 else q @ k.mT
    return (scores * fades(g).between.to(q.dtype) * scales.gather(-1, level)) @ v


def across(q: Tensor, k: Tensor, v: Tensor, g: Tensor, scales: Tensor) -> Tensor:
    """What rows read of earlier chunks, `[b, h, N C, d_v]`: at each level every second block reads the one before.

    Blocks of two double from level to level: their states join, the earlier one faded by the later.
    """
    chunks, rows = q.shape[2:4]
    since, until = summed_logs(g)
    states, total = wide((k * until.exp().to(k.dtype)).mT @ v), since[..., -1:, :]
    out = torch.zeros_like(v).flatten(2, 3)
    width, level = 1, rows.bit_length()
    while width < chunks:
        q, scales, since = (_paired(x) for x in (q, scales, since))
        states, total = _paired(states), _paired(total)
        read = (q[:, :, :, 1] * since[:, :, :, 1].exp().to(q.dtype)) @ states[:, :, :, 0].to(q.dtype)
        read = read * scales[:, :, :, 1, :, level, None]
        out = out + torch.stack([torch.zeros_like(read), read], 3).flatten(2, 4)[:, :, : out.shape[2]]
        states = total[:, :, :, 1].exp() * states[:, :, :, 0] + states[:, :, :, 1]
        since = torch.cat([since[:, :, :, 0], since[:, :, :, 1] + total[:, :, :, 0]], -2)
        total = total.sum(3)
        q, scales = q.flatten(3, 4), scales.flatten(3, 4)
        width, level = 2 * width, level + 1
    return out


def _paired(x: Tensor) -> Tensor:
    """Blocks `[b, h, N, ..]` two by two, a block of zeros after the last where they are odd."""
    padded = F.pad(x, (0, 0, 0, 0, 0, 1)) if x.shape[2] % 2 else x
    return padded.unflatten(2, (-1, 2))


def across_rows(n: int, size: int) -> int:
    """Rows that read earlier chunks, over all levels, filled up as they are read."""
    chunks, rows, width = -(-n // size), 0, 1
    while width < chunks:
        rows += -(-chunks // (2 * width)) * width * size
        width *= 2
    return rows
