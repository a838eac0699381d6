"""A result by a shorter way is laid out as the general way's: sizes, strides, offset, type and bytes."""

from __future__ import annotations

import pytest
import torch

from attnprof.counting import count, counter, shortcut
from attnprof.counting.storages import flat
from attnprof.shapes import Shape
from attnprof.targets.door import find
from attnprof.torch_private import Arguments, FakeTensorMode, Keywords, Operator, is_overload, schema
from attnprof.words import Pass

Layout = list[tuple[torch.Size, tuple[int, ...], int, torch.dtype, int]]


def layout(out: object) -> Layout:
    """What cost depends on; the stride of a single element leads nowhere."""
    return [(t.shape, strides(t), int(t.storage_offset()), t.dtype, t.untyped_storage().nbytes()) for t in flat((out,))]


def strides(t: torch.Tensor) -> tuple[int, ...]:
    return tuple(stride for size, stride in zip(t.shape, t.stride(), strict=True) if size != 1)


@pytest.mark.parametrize("name", ["nsa", "log_linear", "rwkv7"])
def test_the_shorter_way_gives_what_the_general_one_gives(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    held = set()

    def both(func: Operator, args: Arguments, kwargs: Keywords, mode: FakeTensorMode) -> object:
        out = shortcut.shortcut(func, args, kwargs, mode)
        if out is not NotImplemented and is_overload(func) and not schema(func).is_mutable:
            assert layout(out) == layout(func(*args, **kwargs)), func
            held.add(func)
        return out

    monkeypatch.setattr(counter, "shortcut", both)
    count(find(name), Shape(256, causal=True), Pass.TRAIN)
    assert len(held) > 20
