"""A module at a length at which not every gradient is taken: its graph is still that of all outputs."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from attnprof.graph.findings import findings
from attnprof.graph.probe import recover


class Masked(nn.Module):
    """Even weights over a mask."""

    def __init__(self, mask: np.ndarray) -> None:
        super().__init__()
        self.weights = torch.as_tensor(mask / mask.sum(axis=1, keepdims=True))

    def forward(self, x: Tensor) -> Tensor:
        return self.weights @ x


def mask_of(n: int) -> np.ndarray:
    at = np.arange(n)
    mask = (at[:, None] >= at) & (at[:, None] - at <= 2)
    mask[5, 9] = True
    return mask


@pytest.mark.parametrize("rows", [[0, 8, 16, 23], [5], None])
def test_rows_without_a_gradient_are_not_empty(rows: list[int] | None) -> None:
    mask = mask_of(24)
    wanted = None if rows is None else np.asarray(rows)
    found = recover(Masked(mask), lambda: (torch.randn(1, 24, 4),), 1, 1, wanted)
    assert found.slices().dense().tolist() == mask.tolist()
    assert found.reads_future
    told = " ".join(each.text for each in findings(found, causal=True))
    assert "5 reads 9" in told
    assert "no leak" not in told
