"""Perceiver AR: the last positions read all the past once, then one another (Hawthorne et al. 2022, section 3)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from attnprof.contracts import Spec
from attnprof.layers.attention import QKV, Attention, merge_heads, split_heads
from attnprof.layers.kv_cache import KVCache, cached, decode_step, random_cache
from attnprof.layers.softmax import hide, softmax_attention, unfold
from attnprof.layers.stacked import LayersInOrder
from attnprof.layers.stacked import stacked as in_order
from attnprof.words import Level


class Core(nn.Module):
    """`q, k, v [b, h, n, d]` to the rows `[b, h, z, d]` of the last z tokens; above layer 0 their keys alone are read.

    Fewer queries or keys are the last ones.
    """

    hidden: Tensor

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.shape, self.latents, self.first = spec.shape, spec.number("latents"), spec.layer % 2 == 0
        keys = spec.shape.n if self.first else self.latents
        self.register_buffer("hidden", ~torch.ones(self.latents, keys, dtype=torch.bool).tril(keys - self.latents))

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        q, k, v = self.latest(q), self.read(k), self.read(v)
        rows, heads = q.shape[2], q.shape[1] // k.shape[1]
        folded = q.unflatten(1, (k.shape[1], heads)).flatten(2, 3) if heads > 1 else q
        scores = folded @ (k * q.shape[-1] ** -0.5).transpose(-2, -1)
        down, right = self.hidden.shape[0] - rows, self.hidden.shape[1] - k.shape[2]
        hide(unfold(scores, heads, rows), self.hidden[down:, right:])
        return unfold(scores.softmax(-1) @ v, heads, rows)

    def reference(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """One masked softmax: token i of the last z reads j <= i, above the first layer from the first of them on."""
        place = torch.arange(k.shape[2], device=q.device)
        start = max(len(place) - self.latents, 0)
        q = q[:, :, -min(self.latents, q.shape[2]) :]
        reads = (place <= place[start:, None]) & (place >= (0 if self.first else start))
        return softmax_attention(q, k, v, reads)

    def latest(self, x: Tensor) -> Tensor:
        """The rows of `x [b, h, n, d]` that are latents."""
        return x[:, :, max(x.shape[2] - self.latents, 0) :]

    def read(self, x: Tensor) -> Tensor:
        """The rows that are keys of this layer."""
        return x if self.first else self.latest(x)

    def state(self, n: int) -> KVCache:
        """Keys and values of n tokens, of random content; above the first layer of the last z in a ring."""
        return random_cache(self.shape, n, None if self.first else self.latents)

    def prefill(self, q: Tensor, k: Tensor, v: Tensor) -> KVCache:
        """The state after the tokens `k, v [b, g, n, d]`."""
        return cached(k, v, None if self.first else self.latents)

    def step(self, q: Tensor, k: Tensor, v: Tensor, state: KVCache) -> tuple[Tensor, KVCache]:
        """One token more, which is a latent."""
        return decode_step(q, k, v, state)


class Layer(Attention):
    """`x [b, n, D]` to `[b, n, D]`: the rows of latents; zeros before them, which no layer above reads."""

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec.shape, QKV(spec.shape), Core(spec))

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        core, project = self.core, self.project
        assert isinstance(core, Core)
        assert isinstance(project, QKV)
        start = max(x.shape[1] - core.latents, 0)
        near = x[:, start:]
        read = x if core.first else near
        q = split_heads(project.to_q(near), project.heads)
        k, v = (split_heads(to(read), project.groups) for to in (project.to_k, project.to_v))
        return F.pad(self.out(merge_heads(core(q, k, v))), (0, 0, start, 0))


class LatentLayers(LayersInOrder):
    """The layers in order.

    A step equals the last row of the forward while one layer is above the first. With more, keys of older latents were
    made from tokens that are no latents any more (Hawthorne et al. 2022, appendix E); they are kept as they were.
    """

    def padded(self, x: Tensor) -> Tensor:
        """The last rows are the latents, so that none may follow them."""
        return x


def stacked(layers: list[nn.Module], level: Level) -> nn.Module:
    """The cross-attention and the layer among latents."""
    return in_order(layers, level) if level is Level.CORE else LatentLayers(*layers)


def flops_core(spec: Spec) -> int:
    """4 z n d a head in the first layer and 4 z^2 d above, masked or not."""
    shape, latents = spec.shape, spec.number("latents")
    return 4 * shape.batch * shape.heads * shape.d * latents * (latents if spec.layer % 2 else shape.n)
