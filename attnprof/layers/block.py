"""Pre-norm Transformer blocks around any attention layer, as encoder, decoder, or encoder-decoder.

Block: x + attention(LN(x)), then x + FFN(LN(x)), the FFN of width 4 D with GELU (Vaswani et al. 2017, sections 3.1 and
3.3, with the normalisation before: Xiong et al. 2020). Sinusoids are added to the input (section 3.5).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from attnprof.contracts import SharesParameters
from attnprof.layers.attention import QKV, Attention
from attnprof.layers.reversible import ChunkedFeedForward, Reversible
from attnprof.layers.softmax import Softmax
from attnprof.shapes import Shape

WIDENING = 4


def blocks(
    shape: Shape,
    layers: list[nn.Module],
    feed_forward: Callable[[], nn.Module] | None = None,
    *,
    encoder: nn.Module | None = None,
    reads_context: bool = False,
    after: Sequence[nn.Module] = (),
    reversible: bool = False,
    ffn_chunks: int = 1,
) -> nn.Module:
    """The attention layers, each in a block of its own, behind the positional encoding: `x [b, n, D]` to `[b, n, D]`.

    With an `encoder` (another result of this function, over m tokens) every block reads its output too, by dense
    cross-attention: `(x, source [b, m, D])`. `reads_context`: the attention layers themselves read a context.
    `after` follows the last block (patch merging).
    `reversible`: the blocks keep no activations (Kitaev et al. 2020, section 4); `ffn_chunks`: the FFN in that many
    stretches of the sequence, if it is position-wise; another one, `feed_forward`, sees the whole of it.
    """
    tie(layers)
    make = feed_forward or (lambda: PositionwiseFFN(shape.dim))

    def ffn() -> nn.Module:
        return ChunkedFeedForward(make(), ffn_chunks) if ffn_chunks > 1 and feed_forward is None else make()

    if reversible:
        pairs: list[tuple[nn.Module, nn.Module]] = [
            (nn.Sequential(nn.LayerNorm(shape.dim), layer), nn.Sequential(nn.LayerNorm(shape.dim), ffn()))
            for layer in layers
        ]
        return nn.Sequential(Positions(shape.n, shape.dim), Reversible(pairs))
    made = [Block(shape, layer, ffn(), crossing=encoder is not None) for layer in layers]
    if encoder is None and not reads_context:
        return nn.Sequential(Positions(shape.n, shape.dim), *made, *after)
    return Conditioned(Positions(shape.n, shape.dim), encoder, made)


class Block(nn.Module):
    """Attention and FFN, each behind a LayerNorm and beside a residual; between them, if asked for, cross-attention."""

    def __init__(self, shape: Shape, attention: nn.Module, ffn: nn.Module, crossing: bool = False) -> None:
        super().__init__()
        self.attention, self.ffn = attention, ffn
        self.before_attention, self.before_ffn = nn.LayerNorm(shape.dim), nn.LayerNorm(shape.dim)
        self.crossing = Attention(shape, QKV(shape), Softmax()) if crossing else None
        self.before_crossing = nn.LayerNorm(shape.dim) if crossing else None

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        inner = self.before_attention(x)
        reads = context is not None and self.crossing is None
        x = x + (self.attention(inner, context) if reads else self.attention(inner))
        if self.crossing is not None and self.before_crossing is not None:
            x = x + self.crossing(self.before_crossing(x), context)
        return x + self.ffn(self.before_ffn(x))


class Conditioned(nn.Module):
    """Blocks on `x [b, n, D]` that read a second sequence `[b, m, D]`, after an encoder if there is one."""

    def __init__(self, positions: nn.Module, encoder: nn.Module | None, made: list[Block]) -> None:
        super().__init__()
        self.positions, self.encoder, self.blocks = positions, encoder, nn.ModuleList(made)

    def forward(self, x: Tensor, source: Tensor) -> Tensor:
        context = source if self.encoder is None else self.encoder(source)
        x = self.positions(x)
        for block in self.blocks:
            x = block(x, context)
        return x


class PositionwiseFFN(nn.Sequential):
    """The position-wise layer: D to F (4 D unless said), GELU, back to D; 4 n D F FLOPs."""

    def __init__(self, dim: int, width: int | None = None) -> None:
        inner = WIDENING * dim if width is None else width
        super().__init__(nn.Linear(dim, inner), nn.GELU(), nn.Linear(inner, dim))


class Positions(nn.Module):
    """Adds sin(p / 10000^(2 i / D)) to even columns and the cosine to odd ones (Vaswani et al. 2017, section 3.5)."""

    waves: Tensor

    def __init__(self, n: int, dim: int) -> None:
        super().__init__()
        self.dim = dim
        self.register_buffer("waves", self._of(torch.arange(n, dtype=torch.float64)).float(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.waves

    def one(self, at: int) -> Tensor:
        """What is added to the token at a position, `[D]`, also beyond the n that it was made for."""
        place = torch.tensor([float(at)], dtype=torch.float64, device=self.waves.device)
        return self._of(place)[0].float().to(self.waves)  # rounded as the others were

    def _of(self, at: Tensor) -> Tensor:
        angles = at[:, None] * 10000.0 ** (
            -torch.arange(0, self.dim, 2, dtype=torch.float64, device=at.device) / self.dim
        )
        return torch.stack([angles.sin(), angles.cos()], -1).flatten(1)[:, : self.dim]


def tie(layers: list[nn.Module]) -> None:
    """Let the layers share the parameters that a part of them names in `shared_by_layers` (Linformer's layerwise E)."""
    owners: dict[tuple[str, str], nn.Parameter] = {}
    for layer in layers:
        for place, part in layer.named_modules():
            for name in part.shared_by_layers if isinstance(part, SharesParameters) else ():
                setattr(part, name, owners.setdefault((place, name), getattr(part, name)))
