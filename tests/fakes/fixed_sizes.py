"""Attention of one width or one length, which nothing of its constructor decides."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Width(nn.Module):
    """Its first layer is 96 wide."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Linear(96, 3 * 96)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).chunk(3, -1)
        return (q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5).softmax(-1) @ v


class Table(nn.Module):
    """It has one bare table of 48 by 48."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(48, 48) / 48)

    def forward(self, x: Tensor) -> Tensor:
        return (x @ self.weight @ x.transpose(-1, -2)).softmax(-1) @ x


class Length(nn.Module):
    """It adds positions of 49 tokens."""

    def __init__(self, dim: int = 32) -> None:
        super().__init__()
        self.positions = nn.Parameter(torch.zeros(49, dim))
        self.qkv = nn.Linear(dim, 3 * dim)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x + self.positions).chunk(3, -1)
        return (q @ k.transpose(-1, -2)).softmax(-1) @ v


class Nowhere(Length):
    """It fails at every length."""

    def forward(self, x: Tensor) -> Tensor:
        raise ValueError("no size is right")
