"""A core as one compiled graph."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from attnprof.contracts import Checked
from attnprof.errors import Unsupported
from attnprof.layers.index_tables import counting
from attnprof.torch_private import compile_error


class CompiledCore(nn.Module):
    """`inner`, compiled whole for each shape by inductor; on fake tensors it runs as it is written."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner
        self.compiled = torch.compile(inner, dynamic=False, fullgraph=True)

    def forward(self, *streams: Tensor) -> Tensor:
        if counting():
            return self.inner(*streams)
        try:
            return self.compiled(*streams)
        except compile_error() as error:
            what = type(self.inner).__name__
            said = str(error).strip().splitlines()[0]
            raise Unsupported(f"inductor cannot compile {what} whole: {said}", hint="--impl eager or gather") from error

    def reference(self, *streams: Tensor) -> Tensor:
        """That of what is compiled."""
        if not isinstance(self.inner, Checked):
            raise Unsupported(f"{type(self.inner).__name__} brings no reference")
        return self.inner.reference(*streams)
