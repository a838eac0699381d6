"""One softmax computed in parts: each with its unnormalised output, sum and maximum, joined at the end.

Online softmax (Milakov and Gimelshein 2018), as a ring of devices and branches of one attention need it.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from attnprof.layers.softmax import hide


class SoftmaxPart(NamedTuple):
    """Of some keys: `mixed [..., n, d]`, `total` and `peak` `[..., n, 1]`; a row that reads none has a total of 0."""

    mixed: Tensor
    total: Tensor
    peak: Tensor

    @classmethod
    def of_output(cls, mixed: Tensor, sums: Tensor) -> SoftmaxPart:
        """Of an output that is already divided, and the logarithm of what it was divided by, -inf where by nothing."""
        return cls(mixed, (sums > float("-inf")).to(sums.dtype), sums.clamp(min=torch.finfo(sums.dtype).min))

    def placed(self, before: int) -> SoftmaxPart:
        """The same behind so many blocks that read nothing, along the third axis from the end."""
        if not before:
            return self
        space = (0, 0, 0, 0, before, 0)
        least = torch.finfo(self.peak.dtype).min
        return SoftmaxPart(F.pad(self.mixed, space), F.pad(self.total, space), F.pad(self.peak, space, value=least))


def softmax_part(q: Tensor, k: Tensor, v: Tensor, hidden: Tensor | None = None) -> SoftmaxPart:
    """The part of scaled queries `q [..., n, d]` over keys `k [..., m, d]`, values `v [..., m, d_v]`.

    `hidden [..., r, m]` broadcasts to the scores; with r less than n, it is that of every r rows.
    """
    scores = q @ k.transpose(-2, -1)
    if hidden is not None and hidden.shape[-2] in (1, scores.shape[-2]):
        hide(scores, hidden)
    elif hidden is not None:
        hide(scores.unflatten(-2, (-1, hidden.shape[-2])), hidden.unsqueeze(-3))
    peak = scores.detach().amax(-1, keepdim=True).clamp(min=torch.finfo(scores.dtype).min)
    weights = (scores - peak).exp_()
    total = weights.sum(-1, keepdim=True, dtype=torch.promote_types(q.dtype, torch.float32))
    return SoftmaxPart(weights @ v, total, peak)


def joined(parts: list[SoftmaxPart], sink: Tensor | None = None) -> Tensor:
    """The output of one softmax over the keys of all parts; 0 where a row reads none.

    `sink` broadcasts to the totals: the score of a key that has no value.
    """
    dtype, peaks = parts[0].mixed.dtype, [part.peak for part in parts]
    top = torch.stack(peaks).amax(0) if len(peaks) > 1 else peaks[0]
    if sink is not None:
        top = torch.maximum(top, sink.detach().to(top.dtype))
    scales = [(peak - top).exp() for peak in peaks]
    mixed = torch.stack([part.mixed * scale for part, scale in zip(parts, scales, strict=True)]).sum(0)
    total = torch.stack([part.total * scale for part, scale in zip(parts, scales, strict=True)]).sum(0)
    if sink is not None:
        total = total + (sink - top).exp()
    return (mixed / total.clamp(min=torch.finfo(total.dtype).tiny)).to(dtype)
