"""FlexAttention stays fused however many lengths one process visits."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
import torch

from attnprof.shapes import Shape
from attnprof.targets import door


def test_more_lengths_than_torch_compiles_by_itself_stay_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """torch gives up after so many kernels of one function (8), and goes on unfused without an error."""
    made = []

    def backend(graph: torch.fx.GraphModule, _: object) -> Callable[..., object]:
        made.append(graph)
        return graph.forward

    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=backend))  # the limit holds for all of them
    torch._dynamo.reset()
    target, lengths = door.find("sliding_window", params={"window": 8}, impl="flex"), (16, 24, 32, 40)
    with torch._dynamo.config.patch(recompile_limit=2), torch.no_grad():
        for n in lengths:
            shape = Shape(n, dim=32, heads=2, level="core")
            target.build(shape)(*target.inputs(shape))
    assert len(made) == len(lengths)
