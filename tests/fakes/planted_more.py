"""More attention with one defect each: what normalises, routes, counts, pads, rounds or keeps the wrong thing."""

from __future__ import annotations

import random

import torch
from torch import Tensor, nn

from tests.fakes.planted import CLAIM, Causal, Planted
from tests.fakes.user_code import Plain


class InstanceNormed(Causal):
    """Statistics of each channel over all the tokens of a sequence."""

    def __init__(self, dim: int = 64, heads: int = 4) -> None:
        super().__init__(dim, heads)
        self.norm = nn.InstanceNorm1d(dim)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(self.norm(x.transpose(1, 2)).transpose(1, 2))


class ScaledByAll(Causal):
    """Rounds to eighths of the largest number of the sequence, its gradient passed through."""

    def forward(self, x: Tensor) -> Tensor:
        step = x.abs().amax((1, 2), keepdim=True).detach() / 8
        return super().forward(x + ((x / step).round() * step - x).detach())


class StrictMask(Causal):
    """Leaves the diagonal out too: the first query has no key, and a softmax of equal numbers reads all of them."""

    def future(self, n: int) -> Tensor:
        return torch.ones(n, n, dtype=torch.bool).triu(0)


class ExpertChoice(Causal):
    """A layer that takes the half of the tokens that want it most, of the whole sequence."""

    def __init__(self, dim: int = 64, heads: int = 4) -> None:
        super().__init__(dim, heads)
        self.gate = nn.Linear(dim, 1)

    def forward(self, x: Tensor) -> Tensor:
        wish = self.gate(x)
        taken = wish >= wish.topk(max(1, x.shape[1] // 2), dim=1).values[:, -1:]
        return super().forward(x) * torch.where(taken, wish.sigmoid(), 0.0)


class Turned(Causal):
    """Sound: queries and keys are rotated by position; it decodes with rotated keys and values."""

    kept = 1 << 20

    def turn(self, t: Tensor, start: int) -> Tensor:
        angles = (start + torch.arange(t.shape[-2]))[:, None] / 10 ** torch.linspace(0, 2, t.shape[-1] // 2)
        cos, sin = angles.cos().to(t.dtype), angles.sin().to(t.dtype)
        a, b = t.chunk(2, -1)
        return torch.cat((a * cos - b * sin, b * cos + a * sin), -1)

    def split(self, x: Tensor, start: int = 0) -> list[Tensor]:
        q, k, v = self.qkv(x).view(*x.shape[:2], 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        return [self.turn(q, start), self.turn(k, start), v]

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.mix(*self.split(x)).transpose(1, 2).flatten(2))

    def prefill(self, x: Tensor) -> list[Tensor]:
        return [t[..., -self.kept :, :] for t in self.split(x)[1:]] + [torch.tensor(x.shape[1])]

    def position(self, state: list[Tensor]) -> int:
        return int(state[2])

    def step(self, x: Tensor, state: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        q, k, v = self.split(x, self.position(state))
        k, v = (torch.cat(pair, -2)[..., -self.kept :, :] for pair in ((state[0], k), (state[1], v)))
        found = (q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5).softmax(-1) @ v
        return self.out(found.transpose(1, 2).flatten(2)), [k, v, state[2] + 1]


class StepsAtZero(Turned):
    """Rotates the new token as if it were the first."""

    def position(self, state: list[Tensor]) -> int:
        return 0


class KeepsSixteen(Turned):
    """Its cache lets go of all but 16 tokens, which its forward reads."""

    kept = 16


class MeanOfPadding(Plain):
    """Masks the keys, and takes the mean over all the tokens off, the padded ones too."""

    def forward(self, x: Tensor, key_padding_mask: Tensor | None = None) -> Tensor:
        q, k, v = self.qkv(x - x.mean(1, keepdim=True)).view(*x.shape[:2], 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        s = q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5
        if key_padding_mask is not None:
            s = s.masked_fill(key_padding_mask[:, None, None], torch.finfo(s.dtype).min)
        return self.out((s.softmax(-1) @ v).transpose(1, 2).flatten(2))


class SquaresInHalf(Causal):
    """Norms of large numbers, whose squares half a precision does not hold."""

    def forward(self, x: Tensor) -> Tensor:
        large = 256 * x
        return super().forward(large / (1e-6 + large.square().sum(-1, keepdim=True)).sqrt())


class RunningMean(Causal):
    """Updates its running mean in evaluation too."""

    mean: Tensor

    def __init__(self, dim: int = 64, heads: int = 4) -> None:
        super().__init__(dim, heads)
        self.register_buffer("mean", torch.zeros(dim))

    def forward(self, x: Tensor) -> Tensor:
        self.mean.lerp_(x.detach().mean((0, 1)).to(self.mean.dtype), 0.1)
        return super().forward(x - self.mean)


class DrawsByItself(Causal):
    """Random features by Python's own numbers, which no seed of torch reaches."""

    def mix(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return super().mix(q * (1 + random.random()), k, v)


class ViewJoinsBatch(Plain):
    """A view in the order of another layout: right for one sequence, and mixes two."""

    def forward(self, x: Tensor) -> Tensor:
        b, n, _ = x.shape
        q, k, v = self.qkv(x).view(n, b, 3, self.heads, -1).permute(2, 1, 3, 0, 4)
        return self.out(self.mix(q, k, v).permute(2, 0, 1, 3).reshape(b, n, -1))


class FromTheEnd(Causal):
    """Positions are counted from the last token: each new one changes what all before it gave."""

    def forward(self, x: Tensor) -> Tensor:
        n = x.shape[1]
        waves = torch.sin((n - torch.arange(n))[:, None] * torch.linspace(0.1, 1.0, x.shape[2]))
        return super().forward(x + waves.to(x.dtype))


class DetachedValues(Causal):
    """Lets no gradient through its values."""

    def mix(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return super().mix(q, k, v.detach())


HERE = "tests/fakes/planted_more.py"
MORE_DEFECTS = tuple(
    Planted(name, kind, where, asked, HERE)
    for name, kind, where, asked in (
        ("InstanceNormed", "future_leak", "InstanceNormed", CLAIM),
        ("ScaledByAll", "future_leak", "ScaledByAll", CLAIM),
        ("StrictMask", "future_leak", "StrictMask", CLAIM),
        ("ExpertChoice", "future_leak", "ExpertChoice", CLAIM),
        ("StepsAtZero", "decode_differs", "StepsAtZero", CLAIM),
        ("KeepsSixteen", "decode_differs", "KeepsSixteen", CLAIM),
        ("MeanOfPadding", "padding_leaks", "MeanOfPadding", {}),
        ("SquaresInHalf", "low_precision_far", "", {}),
        ("RunningMean", "state_between_calls", "RunningMean", {}),
        ("DrawsByItself", "random_without_seed", "DrawsByItself", {}),
        ("ViewJoinsBatch", "batch_mixing", "ViewJoinsBatch", {}),
        ("FromTheEnd", "differs_at_ragged_length", "", CLAIM),
        ("DetachedValues", "gradient_wrong", "", {}),
    )
)
