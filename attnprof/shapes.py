"""The sizes that a scheme is built for, and which sizes can be."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from attnprof.errors import AttnprofError
from attnprof.words import DType, Level


@dataclass(frozen=True, slots=True)
class Shape:
    """The sizes that a scheme is built for: `b` batch, `n` queries, `m` keys, `D` dim, `h` heads, `g` kv_heads.

    `m` is None where the keys are the queries. A head is `head_dim` wide, or D / h, and its values `v_head_dim`, or as
    wide as that; a width that is so anyhow is forgotten, so that equal shapes are equal. `depth` repeats the block (at
    level `block` alone). A decoding step takes `drafts` tokens: one, but where drafts are verified. Raises
    `AttnprofError` for a level or dtype that is none.
    """

    n: int
    batch: int = 1
    dim: int = 512
    heads: int = 8
    kv_heads: int | None = None
    causal: bool = False
    level: Level = Level.ATTENTION
    m: int | None = None
    dtype: DType = DType.FLOAT32
    seed: int = 0
    depth: int = 1
    head_dim: int | None = None
    v_head_dim: int | None = None
    drafts: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "level", Level(self.level))
        object.__setattr__(self, "dtype", DType(self.dtype))
        if self.v_head_dim == self.d:
            object.__setattr__(self, "v_head_dim", None)
        if self.head_dim is not None and self.head_dim * self.heads == self.dim:
            object.__setattr__(self, "head_dim", None)

    @property
    def d(self) -> int:
        """Width `d` of the queries and keys of one head."""
        if self.head_dim is not None:
            return self.head_dim
        return self.dim // self.heads if self.heads else 0

    @property
    def d_v(self) -> int:
        """Width `d_v` of the values of one head."""
        return self.d if self.v_head_dim is None else self.v_head_dim

    @property
    def groups(self) -> int:
        """KV heads `g`: `kv_heads`, or as many as the query heads."""
        return self.heads if self.kv_heads is None else self.kv_heads

    @property
    def keys(self) -> int:
        """Key length: `m`, or `n` for self-attention."""
        return self.n if self.m is None else self.m

    @property
    def repeats(self) -> int:
        """How often the layers stand one after the other: `depth` at level `block`, once below it."""
        return self.depth if self.level is Level.BLOCK else 1

    def replace(self, **changes: Any) -> Self:
        """A copy with some fields changed."""
        return dataclasses.replace(self, **changes)


LABELS: Mapping[str, Callable[[Shape], object]] = {
    "level": lambda shape: shape.level,
    "causal": lambda shape: shape.causal,
    "heads": lambda shape: shape.heads,
    "kv_heads": lambda shape: shape.groups,
    "head_dim": lambda shape: shape.d,
    "v_head_dim": lambda shape: shape.d_v,
}


def checked(shape: Shape) -> Shape:
    """The shape, if its sizes can be: whole and positive, KV heads dividing the heads, and heads the width.

    Heads with a width of their own (`head_dim`) need not divide that of the model.
    """
    _check_whole(shape)
    if not isinstance(shape.causal, bool):
        raise AttnprofError(
            f"causal is {shape.causal!r}, but it is True or False", hint="leave it out for the native one"
        )
    if shape.head_dim is None and shape.dim % shape.heads:
        near = [h for h in range(1, shape.dim + 1) if shape.dim % h == 0]
        best = sorted(near, key=lambda h: abs(h - shape.heads))[:2]
        raise AttnprofError(
            f"{shape.heads} heads do not divide the width {shape.dim}",
            hint=f"the nearest head counts that do: {' and '.join(map(str, sorted(best)))}; or say --head-dim",
        )
    if shape.heads % shape.groups:
        near = [g for g in range(1, shape.heads + 1) if shape.heads % g == 0]
        raise AttnprofError(
            f"{shape.groups} KV heads do not divide {shape.heads} query heads",
            hint=f"KV heads that do: {', '.join(map(str, near))}",
        )
    return shape


def _check_whole(shape: Shape) -> None:
    sizes = {"n": shape.n, "batch": shape.batch, "dim": shape.dim, "heads": shape.heads, "depth": shape.depth}
    sizes |= {"keys": shape.keys, "kv_heads": shape.groups, "head_dim": shape.head_dim, "v_head_dim": shape.v_head_dim}
    for label, size in sizes.items():
        if size is None and label.endswith("head_dim"):
            continue
        if not isinstance(size, int) or isinstance(size, bool):
            raise AttnprofError(f"{label} is {size!r}, but a size is a whole number", hint=f"e.g. {label} = 8")
        if size < 1:
            raise AttnprofError(f"{label} is {size}, but a size is at least 1", hint=f"e.g. --{label} 8")
