"""Constant tensors of a module (masks, index tables), which cost nothing when the module is only counted."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import DTypeLike
from torch import Tensor

from attnprof.torch_private import is_fake


def counting() -> bool:
    """Whether tensors are fake here: shapes and dtypes are real, contents are not."""
    return is_fake(torch.empty(0))


def table(
    array: np.ndarray | Callable[[], np.ndarray], shape: tuple[int, ...] | None = None, dtype: DTypeLike = np.bool_
) -> Tensor:
    """A tensor of a NumPy array; given as a function with its `shape` and `dtype`, it is only made if it is needed.

    Integers become int64. On fake tensors nothing is allocated.
    """
    if callable(array):
        assert shape is not None, "a lazily made table needs its shape"
        if counting():
            return torch.empty(shape, dtype=torch.bool if dtype == np.bool_ else torch.int64)
        array = array()
    if counting():
        return torch.empty(array.shape, dtype=torch.bool if array.dtype == np.bool_ else torch.int64)
    return torch.as_tensor(array, device=torch.empty(0).device)
