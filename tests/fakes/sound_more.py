"""More attention without a defect: convolutions, grouped keys, buckets, experts, chunks, scales near zero."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import elu, pad, scaled_dot_product_attention

from tests.fakes.planted import Causal
from tests.fakes.sound import CLAIM, Sound
from tests.fakes.user_code import Plain


class LeftPadded(Causal):
    """A depthwise convolution of the tokens before each, padded on the left."""

    def __init__(self, dim: int = 64, heads: int = 4) -> None:
        super().__init__(dim, heads)
        self.conv = nn.Conv1d(dim, dim, 4, groups=dim)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(self.conv(pad(x.transpose(1, 2), (3, 0))).transpose(1, 2))


class Grouped(nn.Module):
    """Two query heads share a key head, by the fused kernel."""

    def __init__(self, dim: int = 64, heads: int = 4) -> None:
        super().__init__()
        self.heads, self.groups = heads, heads // 2
        self.q, self.kv, self.out = nn.Linear(dim, dim), nn.Linear(dim, dim), nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        q = self.q(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        k, v = self.kv(x).unflatten(-1, (2, self.groups, -1)).permute(2, 0, 3, 1, 4)
        mixed = scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
        return self.out(mixed.transpose(1, 2).flatten(2))


class Tables(Causal):
    """Rotates by tables that stand in buffers, made for the longest length beforehand."""

    cos: Tensor
    sin: Tensor

    def __init__(self, dim: int = 64, heads: int = 4) -> None:
        super().__init__(dim, heads)
        angles = torch.arange(512)[:, None] / 1e4 ** torch.linspace(0, 1, dim // heads // 2)
        self.register_buffer("cos", angles.cos(), persistent=False)
        self.register_buffer("sin", angles.sin(), persistent=False)

    def scores(self, q: Tensor, k: Tensor) -> Tensor:
        cos, sin = self.cos[: q.shape[-2]], self.sin[: q.shape[-2]]

        def turned(t: Tensor) -> Tensor:
            a, b = t.chunk(2, -1)
            return torch.cat((a * cos - b * sin, b * cos + a * sin), -1)

        return super().scores(turned(q), turned(k))


class Bucketed(Causal):
    """A learned bias a head for buckets of distances, coarser the farther (Raffel et al. 2020)."""

    def __init__(self, dim: int = 64, heads: int = 4) -> None:
        super().__init__(dim, heads)
        self.bias = nn.Embedding(8, heads)

    def scores(self, q: Tensor, k: Tensor) -> Tensor:
        i = torch.arange(q.shape[-2])
        buckets = (i[:, None] - i).clamp(min=0).add(1).float().log2().long().clamp(max=7)
        return super().scores(q, k) + self.bias(buckets).permute(2, 0, 1)


class Capacity(Causal):
    """Tokens choose one of two experts, each of which takes the first that come, up to its capacity."""

    def __init__(self, dim: int = 64, heads: int = 4) -> None:
        super().__init__(dim, heads)
        self.gate, self.experts = nn.Linear(dim, 2), nn.ModuleList([nn.Linear(dim, dim) for _ in range(2)])

    def forward(self, x: Tensor) -> Tensor:
        wish = self.gate(x).softmax(-1)
        chosen = nn.functional.one_hot(wish.argmax(-1), 2)
        kept = chosen * (chosen.cumsum(1) <= 24)
        made = torch.stack([expert(x) for expert in self.experts], -1)
        return super().forward(x) + (made * (kept * wish)[..., None, :]).sum(-1)


class HeadsNormed(Causal):
    """Root mean squares of each head's queries and keys, with weights, and a cap on the logits (Gemma 2)."""

    def __init__(self, dim: int = 64, heads: int = 4) -> None:
        super().__init__(dim, heads)
        self.norms = nn.ModuleList([nn.RMSNorm(dim // heads), nn.RMSNorm(dim // heads)])

    def scores(self, q: Tensor, k: Tensor) -> Tensor:
        q, k = (norm(t) for norm, t in zip(self.norms, (q, k), strict=True))
        s = 30 * (q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5 / 30).tanh()
        return s.masked_fill(self.future(q.shape[-2]), torch.finfo(s.dtype).min)


class Chunked(Plain):
    """Causal linear attention in chunks of 16: the state of those before, and the triangle of its own."""

    def mix(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        n = q.shape[-2]
        q, k = elu(q) + 1, elu(k) + 1
        q, k, v = (pad(t, (0, 0, 0, -n % 16)).unflatten(2, (-1, 16)) for t in (q, k, v))
        v = torch.cat((v, torch.ones_like(v[..., :1])), -1)
        state = k.transpose(-1, -2) @ v
        earlier = state.cumsum(2) - state
        both = q @ earlier + (q @ k.transpose(-1, -2)).tril() @ v
        both = both.flatten(2, 3)[:, :, :n]
        return both[..., :-1] / both[..., -1:]


class NearZero(Causal):
    """A residual branch that is scaled by a weight which starts at a millionth (Touvron et al. 2021)."""

    def __init__(self, dim: int = 64, heads: int = 4) -> None:
        super().__init__(dim, heads)
        self.scale = nn.Parameter(torch.full((dim,), 1e-6))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.scale * super().forward(x)


class Shifted(Causal):
    """Mixes each token with the one before it first (Peng et al. 2023)."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(0.5 * (x + pad(x, (0, 0, 1, -1))))


HERE = "tests/fakes/sound_more.py"
KINDS = (LeftPadded, Grouped, Tables, Bucketed, Capacity, HeadsNormed, Chunked, NearZero, Shifted)
MORE_SOUND = (
    *(Sound(f"{HERE}:{kind.__name__}", CLAIM) for kind in KINDS),
    Sound("tests/fakes/planted_more.py:Turned", CLAIM),
)
