"""A module as one that is given its streams alone, so that a gradient tells who reads whom.

No gradient reaches ids: in their place it is given rows, which stand for what its table of embeddings gives.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor, nn

from attnprof.errors import AttnprofError
from attnprof.layers.outputs import first_output
from attnprof.targets.calls import CallForm, CallInput, InputKind
from attnprof.torch_private import Arguments


class Followed(nn.Module):
    """A hooked module whose other inputs are held for it, as buffers, so that they are cast with it."""

    def __init__(self, module: nn.Module, form: CallForm, inputs: Sequence[Tensor]) -> None:
        super().__init__()
        self.module, self.form = module, form
        self.ids = next((it for it in form.inputs if it.stream and it.kind is InputKind.IDS), None)
        for it, tensor in zip(form.inputs, inputs, strict=True):
            if not it.stream or it is self.ids:
                self.register_buffer(it.name, tensor)
        self.table = None if self.ids is None else table_of(module, inputs, self.get_buffer(self.ids.name))
        if self.table is not None:
            self.table.register_forward_hook(_rows_instead)

    def forward(self, *streams: Tensor) -> Tensor:
        left = iter(streams)
        given = [self._given(it, left, len(streams[0])) for it in self.form.inputs]
        return first_output(self.module(*given))

    def drawn(self, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """The streams among its inputs; rows of the width of its table for ids."""
        pairs = [(it, x) for it, x in zip(self.form.inputs, inputs, strict=True) if it.stream]
        return tuple(self._rows_of(x) if it is self.ids else x for it, x in pairs)

    def _rows_of(self, ids: Tensor) -> Tensor:
        assert self.table is not None
        return torch.randn(*ids.shape, self.table.embedding_dim, dtype=self.table.weight.dtype)

    def _given(self, it: CallInput, streams: Iterator[Tensor], batch: int) -> Tensor:
        if it is self.ids:
            vars(self.table)["rows"] = next(streams)
        return next(streams) if it.stream and it is not self.ids else self._held(it, batch)

    def _held(self, it: CallInput, batch: int) -> Tensor:
        """The same for each of as many entries as the streams have."""
        held = self.get_buffer(it.name)
        return held[:1].expand(batch, *held.shape[1:]) if it.axes[0] == "b" else held


def table_of(module: nn.Module, inputs: Sequence[Tensor], ids: Tensor) -> nn.Embedding:
    """The table of embeddings that is asked for these very ids. Raises `AttnprofError` where none is."""
    found: list[nn.Embedding] = []

    def noted(part: nn.Module, args: Arguments, out: object) -> None:
        asked = args[0] if args else None
        if isinstance(part, nn.Embedding) and isinstance(asked, Tensor) and torch.equal(asked.view(-1), ids.view(-1)):
            found.append(part)

    hooks = [part.register_forward_hook(noted) for part in module.modules() if isinstance(part, nn.Embedding)]
    try:
        with torch.no_grad():
            module(*inputs)
    finally:
        for hook in hooks:
            hook.remove()
    if not found:
        raise AttnprofError(
            "it is given whole numbers that no gradient reaches, and no nn.Embedding of it is asked for them",
            hint="give it rows where it takes them: --input inputs_embeds=b,n,D",
        )
    return found[0]


def _rows_instead(table: nn.Module, args: object, out: Tensor) -> Tensor | None:
    rows: Tensor | None = vars(table).get("rows")
    return rows if rows is not None and rows.shape == out.shape else None


def followed(
    module: nn.Module, form: CallForm, draw: Callable[[], tuple[Tensor, ...]]
) -> tuple[nn.Module, Callable[[], tuple[Tensor, ...]]]:
    """The module as one that takes its streams alone, and what draws them."""
    whole = Followed(module, form, draw())
    return whole, lambda: whole.drawn(draw())
