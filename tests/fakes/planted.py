"""Attention with one defect each, of kinds that people plant unawares; `DEFECTS` names what is to be found."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from tests.fakes.user_code import Plain


class Causal(Plain):
    """Sound and causal: what most of the defects are planted in."""

    def scores(self, q: Tensor, k: Tensor) -> Tensor:
        n = q.shape[-2]
        s = q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5
        return s.masked_fill(self.future(n), torch.finfo(s.dtype).min)

    def future(self, n: int) -> Tensor:
        return torch.ones(n, n, dtype=torch.bool).triu(1)

    def mix(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return self.scores(q, k).softmax(-1) @ v


class OneAhead(Causal):
    """Its mask begins one diagonal too late."""

    def future(self, n: int) -> Tensor:
        return super().future(n).roll(1, 1)[:, :].triu(2)


class BlockEdge(Causal):
    """The last query of every block of 16 reads the first key of the next one."""

    def future(self, n: int) -> Tensor:
        mask = super().future(n).clone()
        last = torch.arange(15, n - 1, 16)
        mask[last, last + 1] = False
        return mask


class MeanOfAll(Causal):
    """Takes the mean over all tokens off first."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x - x.mean(1, keepdim=True))


class Inner(nn.Module):
    """Two layers, of which the second leaks."""

    def __init__(self, dim: int = 64, heads: int = 4) -> None:
        super().__init__()
        self.layers = nn.ModuleList([Causal(dim, heads), OneAhead(dim, heads), Causal(dim, heads)])

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = x + layer(x)
        return x


class BatchJoined(Causal):
    """Normalises over the batch in evaluation too."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x / (1e-3 + x.std(dim=(0, 1), keepdim=True, correction=0)))


class MaskUnread(Plain):
    """Takes a mask of padding and does not read it."""

    def forward(self, x: Tensor, key_padding_mask: Tensor | None = None) -> Tensor:
        return super().forward(x)


class MaskAfterwards(Plain):
    """Masks the values of padded keys, after the softmax has given them their share."""

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        b, n, width = x.shape
        q, k, v = self.qkv(x).view(b, n, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        if mask is not None:
            v = v.masked_fill(~mask[:, None, :, None], 0.0)
        return self.out(self.mix(q, k, v).transpose(1, 2).reshape(b, n, width))


class AllMasked(Plain):
    """Fills with minus infinity: a sequence of which all is masked becomes NaN."""

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        b, n, width = x.shape
        q, k, v = self.qkv(x).view(b, n, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        s = q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5
        if mask is not None:
            s = s.masked_fill(~mask[:, None, None, :], float("-inf"))
        return self.out((s.softmax(-1) @ v).transpose(1, 2).reshape(b, n, width))


class NakedExp(Causal):
    """A softmax without the largest logit taken off."""

    def mix(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        s = (q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5).exp().masked_fill(self.future(q.shape[-2]), 0)
        return (s / s.sum(-1, keepdim=True)) @ v


class LeastOfFloat32(Causal):
    """Fills with a number that float16 does not have."""

    def scores(self, q: Tensor, k: Tensor) -> Tensor:
        s = q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5
        return s.masked_fill(self.future(q.shape[-2]), -1e9)


class LowSums(Causal):
    """Adds a cumulative sum of large numbers in the precision of its inputs, and takes it off again."""

    def mix(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        positions = torch.arange(q.shape[-2], dtype=v.dtype)[:, None] * 64
        return super().mix(q, k, v + positions) - super().mix(q, k, positions.expand_as(v))


class DropsAlways(Causal):
    """Dropout that nobody told of evaluation."""

    def mix(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return nn.functional.dropout(self.scores(q, k).softmax(-1), 0.1) @ v


class Remembers(Causal):
    """Adds what it saw in the call before."""

    last: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        out = super().forward(x)
        if self.last is not None and self.last.shape == x[0, -1].shape:
            out = out + self.last.to(x.dtype)
        self.last = x[0, -1].detach()
        return out


class SquareMask(Plain):
    """Linear attention that makes a mask of n by n for nothing."""

    def mix(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        n = q.shape[-2]
        real = torch.ones(n, n).amax(0)
        q, k = q.softmax(-1), (k * real[:, None].to(k.dtype)).softmax(-2)
        return q @ (k.transpose(-1, -2) @ v)


class Hoards(Causal):
    """Appends its scores to a list."""

    def __init__(self, dim: int = 64, heads: int = 4) -> None:
        super().__init__(dim, heads)
        self.seen: list[Tensor] = []

    def mix(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        self.seen.append(self.scores(q, k).softmax(-1).detach())
        return self.seen[-1].to(v.dtype) @ v


class KeepsGraph(Causal):
    """Keeps its last scores, with their graph."""

    weights: Tensor | None = None

    def mix(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        self.weights = self.scores(q, k).softmax(-1)
        return self.weights @ v


class Half(torch.autograd.Function):
    """A square root whose backward forgets a factor of two."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:  # type: ignore[override]
        root = (1 + x * x).sqrt()
        ctx.save_for_backward(x, root)
        return root

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # type: ignore[override]
        x, root = ctx.saved_tensors
        return 2 * gradient * x / root


class WrongBackward(Causal):
    """A backward of its own that is wrong."""

    def mix(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return super().mix(q, k, Half.apply(v))


class NaNGradient(Causal):
    """A root of zero in the branch of a where that is not taken."""

    def mix(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return super().mix(q, k, torch.where(v > 0, (v * (v > 0)).sqrt(), v * 0.5))


class Unreached(Causal):
    """A layer that nobody calls any more."""

    def __init__(self, dim: int = 64, heads: int = 4) -> None:
        super().__init__(dim, heads)
        self.gate = nn.Linear(dim, dim)


class CutsTail(Plain):
    """Works in blocks of 16, and leaves out what is left over."""

    def forward(self, x: Tensor) -> Tensor:
        n = x.shape[1] // 16 * 16 or x.shape[1]
        return super().forward(x[:, :n])


class PadsWithZeros(Causal):
    """Pads in front to a whole block, and lets the zeros take their share of the softmax."""

    def forward(self, x: Tensor) -> Tensor:
        pad = -x.shape[1] % 16
        return super().forward(nn.functional.pad(x, (0, 0, pad, 0)))[:, pad:]


class Window(Plain):
    """A window of 9 to both sides."""

    width = 9

    def mix(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        i = torch.arange(q.shape[-2])
        s = q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5
        far = (i[:, None] - i).abs() > self.width
        return s.masked_fill(far, torch.finfo(s.dtype).min).softmax(-1) @ v


class StepsTooFar(Causal):
    """Decodes with a state that has lost its first token."""

    def prefill(self, x: Tensor) -> Tensor:
        return x[:, 1:]

    def step(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        state = torch.cat((state, x), 1)
        return self(state)[:, -1:], state


@dataclass(frozen=True)
class Planted:
    """A class with a defect, the kind of finding that names it, a word that its place has, and what is asked."""

    name: str
    kind: str
    where: str = ""
    asked: dict[str, Any] = field(default_factory=dict)
    file: str = "tests/fakes/planted.py"


CLAIM = {"causal": True}
DEFECTS = (
    Planted("OneAhead", "future_leak", "OneAhead", CLAIM),
    Planted("BlockEdge", "future_leak", "BlockEdge", CLAIM),
    Planted("MeanOfAll", "future_leak", "MeanOfAll", CLAIM),
    Planted("Inner", "future_leak", "layers.1", CLAIM),
    Planted("OneAhead", "future_leak", "OneAhead"),
    Planted("BatchJoined", "batch_mixing", "BatchJoined"),
    Planted("MaskUnread", "padding_leaks", "MaskUnread"),
    Planted("MaskAfterwards", "padding_leaks", "MaskAfterwards"),
    Planted("AllMasked", "masked_rows_not_finite", "AllMasked"),
    Planted("NakedExp", "overflow"),
    Planted("LeastOfFloat32", "low_precision_refused"),
    Planted("LowSums", "low_precision_far"),
    Planted("DropsAlways", "dropout_in_evaluation"),
    Planted("Remembers", "state_between_calls", "Remembers"),
    Planted("SquareMask", "hidden_square", "planted.py"),
    Planted("SquareMask", "hidden_square", "planted.py", {"claim": "n"}),
    Planted("Causal", "grows_faster", "", {"claim": "n*log(n)"}),
    Planted("Hoards", "hoarded_outputs", "seen"),
    Planted("KeepsGraph", "graph_kept", "weights"),
    Planted("WrongBackward", "gradient_wrong"),
    Planted("NaNGradient", "gradient_not_finite", "planted.py"),
    Planted("Unreached", "no_gradient", "gate"),
    Planted("CutsTail", "tokens_lost"),
    Planted("PadsWithZeros", "differs_at_ragged_length", "", CLAIM),
    Planted("Window", "edges_undeclared", "", {"against": "sliding_window", "window": 16}),
    Planted("StepsTooFar", "decode_differs", "StepsTooFar"),
)
