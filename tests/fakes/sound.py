"""Attention without a defect, in forms that a careless check accuses: `SOUND` says how each is made and asked."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from torch.utils.checkpoint import checkpoint

from tests.fakes.planted import Causal
from tests.fakes.user_code import Plain


class Fused(Plain):
    """Causal, by the fused kernel."""

    def mix(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return scaled_dot_product_attention(q, k, v, is_causal=True)


class Dropped(Plain):
    """Dropout in training alone."""

    def mix(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return scaled_dot_product_attention(q, k, v, dropout_p=0.1 if self.training else 0.0)


class Blocked(Causal):
    """Blocks of 16 that read themselves; pads at the end, where a causal mask hides it."""

    def mix(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        n = q.shape[-2]
        pad = -n % 16
        q, k, v = (nn.functional.pad(t, (0, 0, 0, pad)).unflatten(2, (-1, 16)) for t in (q, k, v))
        return super().mix(q, k, v).flatten(2, 3)[:, :, :n]


class Linear(Plain):
    """Linear attention, bidirectional: no square anywhere."""

    def mix(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        q, k = (nn.functional.elu(t) + 1 for t in (q, k))
        return q @ (k.transpose(-1, -2) @ v) / (q @ k.sum(-2)[..., None])


class Recurrent(Plain):
    """Linear attention, causal, by cumulative sums in float32."""

    def mix(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        wide = torch.promote_types(q.dtype, torch.float32)
        q, k, v = ((nn.functional.elu(q) + 1).to(wide), (nn.functional.elu(k) + 1).to(wide), v.to(wide))
        state = (k[..., :, None] * v[..., None, :]).cumsum(2)
        found = (q[..., None, :] @ state).squeeze(-2) / (q * k.cumsum(2)).sum(-1, keepdim=True)
        return found.to(self.out.weight.dtype)


class PadMasked(Plain):
    """Reads its mask, and gives zeros to a query without keys."""

    def forward(self, x: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        b, n, width = x.shape
        q, k, v = self.qkv(x).view(b, n, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        s = q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5
        if attention_mask is not None:
            s = s.masked_fill(attention_mask[:, None, None, :] == 0, torch.finfo(s.dtype).min)
        return self.out((s.softmax(-1) @ v).transpose(1, 2).reshape(b, n, width))


class Rotated(Causal):
    """Rotates queries and keys by tables that the first call makes and keeps."""

    table: Tensor | None = None

    def scores(self, q: Tensor, k: Tensor) -> Tensor:
        if self.table is None or len(self.table) < q.shape[-2]:
            angles = torch.arange(q.shape[-2])[:, None] / 100 ** torch.linspace(0, 1, q.shape[-1] // 2)
            self.table = torch.polar(torch.ones_like(angles), angles)
        turn = self.table[: q.shape[-2]]

        def turned(t: Tensor) -> Tensor:
            pairs = torch.view_as_complex(t.to(torch.float32).unflatten(-1, (-1, 2)).contiguous())
            return torch.view_as_real(pairs * turn).flatten(-2).to(t.dtype)

        return super().scores(turned(q), turned(k))


class Again(Causal):
    """Recomputes its forward in the backward."""

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = checkpoint(super().forward, x, use_reentrant=False)
        return out


class Sinks(Causal):
    """Every query reads itself, its 8 neighbours before it and the first 4 tokens."""

    def future(self, n: int) -> Tensor:
        i = torch.arange(n)
        far = (i[:, None] - i > 8) & (i >= 4)
        return super().future(n) | far


class Chosen(Causal):
    """Each query reads its 8 best keys of the past: values are chosen, and gradients go through them alone."""

    def mix(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        s = self.scores(q, k)
        least = s.topk(min(8, s.shape[-1]), dim=-1).values[..., -1:]
        return s.masked_fill(s < least, torch.finfo(s.dtype).min).softmax(-1) @ v


class Steps(Causal):
    """Decodes with all tokens before as its state."""

    def prefill(self, x: Tensor) -> Tensor:
        return x

    def step(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        state = torch.cat((state, x), 1)
        return self(state)[:, -1:], state


class Frozen(Causal):
    """Projections that are not trained."""

    def __init__(self, dim: int = 64, heads: int = 4) -> None:
        super().__init__(dim, heads)
        self.qkv.requires_grad_(False)


class Slopes(Causal):
    """A bias that falls with the distance, a slope a head (Press et al. 2022)."""

    def scores(self, q: Tensor, k: Tensor) -> Tensor:
        i = torch.arange(q.shape[-2])
        slopes = 2.0 ** (-8 / self.heads * torch.arange(1, self.heads + 1))
        bias = (i - i[:, None]).to(q.dtype) * slopes[:, None, None].to(q.dtype)
        return super().scores(q, k) + bias.masked_fill(i > i[:, None], 0.0)


class Cosines(Causal):
    """Attends by the cosine of the angle, with a temperature that is learned."""

    def __init__(self, dim: int = 64, heads: int = 4) -> None:
        super().__init__(dim, heads)
        self.temperature = nn.Parameter(torch.full((heads, 1, 1), math.log(10.0)))

    def scores(self, q: Tensor, k: Tensor) -> Tensor:
        q, k = nn.functional.normalize(q, dim=-1), nn.functional.normalize(k, dim=-1)
        return super().scores(q * self.temperature.exp(), k)


@dataclass(frozen=True)
class Sound:
    """Where it stands, how it is made and asked."""

    text: str
    asked: dict[str, Any] = field(default_factory=dict)


CLAIM = {"causal": True}
HERE, CODE = "tests/fakes/sound.py", "tests/fakes/user_code.py"
SOUND = (
    Sound("tests/fakes/planted.py:Causal", CLAIM),
    Sound(f"{CODE}:Plain"),
    Sound(f"{CODE}:Item"),
    Sound(f"{CODE}:attend_bnhd"),
    Sound(f"{CODE}:Normed"),
    *(
        Sound(f"{HERE}:{name}", CLAIM)
        for name in ("Fused", "Blocked", "Recurrent", "Rotated", "Again", "Sinks", "Chosen", "Steps", "Frozen")
    ),
    *(Sound(f"{HERE}:{name}", CLAIM) for name in ("Slopes", "Cosines")),
    Sound(f"{HERE}:Dropped"),
    Sound(f"{HERE}:Linear", {"claim": "n"}),
    Sound(f"{HERE}:PadMasked"),
    Sound("torch.nn:MultiheadAttention"),
    Sound("torch.nn:TransformerEncoderLayer"),
)
