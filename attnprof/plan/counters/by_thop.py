"""thop (and the fork by Ultralytics under the same name): hooks modules; multiply-adds."""

from __future__ import annotations

import importlib
from typing import Any

from torch import nn


def forward(module: nn.Module, inputs: tuple[Any, ...]) -> int:
    """Twice its multiply-adds."""
    macs, _ = importlib.import_module("thop").profile(module, inputs=inputs, verbose=False)
    return int(2 * macs)
