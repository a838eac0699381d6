"""Layers that read the keys and values of another layer, and the one that keeps them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from attnprof.errors import Unsupported
from attnprof.layers.attention import QKV, Attention, decoder, dtype_of, merge_heads, split_heads
from attnprof.shapes import Shape


class ReadingAttention(Attention):
    """Attention whose keys and values `[b, g, n, d]` are those of another layer: a query and an output projection.

    (Brandon et al. 2024, cross-layer attention.) Without an `owner` the keys and values are those given. The `last` of
    its readers lets them go.
    """

    def __init__(
        self, shape: Shape, core: nn.Module, owner: OwningAttention | None = None, *, last: bool = False
    ) -> None:
        super().__init__(shape, nn.Linear(shape.dim, shape.heads * shape.d, bias=False), core)
        self.heads, self.last = shape.heads, last
        self.owner: tuple[OwningAttention, ...] = (
            () if owner is None else (owner,)
        )  # not a part of this module, which has it elsewhere

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        if not self.owner[0].kv:
            raise Unsupported(
                "a layer that reads another's keys and values is not run again by itself", hint="without checkpointing"
            )
        k, v = self.owner[0].kv
        if self.last:
            self.owner[0].release()
        return self.out(merge_heads(self.core(split_heads(self.project(x), self.heads), k, v)))

    def state(self, n: int) -> tuple[()]:
        """It keeps nothing of its own."""
        return ()

    def prefill(self, x: Tensor) -> tuple[()]:
        """It keeps nothing of its own."""
        return ()

    def step(self, x: Tensor, state: tuple[()]) -> tuple[Tensor, tuple[()]]:
        """One token more, over the state of the owner as it was before its own step, and that token's key and value."""
        owner = self.owner[0]
        mixed, _ = decoder(self.core).step(split_heads(self.project(x), self.heads), *owner.kv, owner.before)
        if self.last:
            owner.release()
        return self.out(merge_heads(mixed)), state


class OwningAttention(Attention):
    """Attention that hands its keys and values to layers above it while a pass is on its way."""

    kv: tuple[Tensor, ...] = ()
    before: Any = None

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        q, *kv = self.project(x)
        self.kv = tuple(kv)
        return self.out(merge_heads(self.core(q, *kv)))

    def step(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        """One token more; what layers above need of it is held until the whole step is done."""
        q, *kv = self.project(x)
        self.kv, self.before = tuple(kv), state
        mixed, state = decoder(self.core).step(q, *kv, state)
        return self.out(merge_heads(mixed)), state

    def release(self) -> None:
        """Forget what was handed out."""
        self.kv, self.before = (), None


def owning(shape: Shape, layer: nn.Module) -> OwningAttention:
    """The layer, handing out its keys and values. Raises `Unsupported` where it is not plain attention."""
    if type(layer) is not Attention or type(layer.project) is not QKV:
        raise Unsupported(
            "only attention with plain query, key and value projections shares its keys and values",
            hint="leave shares_kv out",
        )
    made = OwningAttention(shape, layer.project, layer.core)
    made.out = layer.out
    return made


class BorrowedAttention(ReadingAttention):
    """`ReadingAttention` on its own, over keys and values that live before and after it and take gradients.

    They are buffers, so that nothing of them counts as saved, or as its state.
    """

    k: Tensor
    v: Tensor

    def __init__(self, shape: Shape, plain: nn.Module) -> None:
        made = owning(shape, plain)
        super().__init__(shape, made.core)
        for name, width in (("k", shape.d), ("v", shape.d_v)):
            rows = torch.randn(shape.batch, shape.n, shape.groups * width, dtype=dtype_of(shape))
            self.register_buffer(name, split_heads(rows, shape.groups).requires_grad_())  # as projections lie

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        return self.out(merge_heads(self.core(split_heads(self.project(x), self.heads), self.k, self.v)))

    def state(self, n: int) -> Any:
        """What the other layer keeps, for it to be read."""
        return decoder(self.core).state(n)

    def step(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        """One token more, over the other layer's state and the key and value that it has of this token."""
        k, v = (kept[:, :, -1:] for kept in (self.k, self.v))
        mixed, state = decoder(self.core).step(split_heads(self.project(x), self.heads), k, v, state)
        return self.out(merge_heads(mixed)), state
