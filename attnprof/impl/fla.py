"""Linear recurrences by flash-linear-attention (Yang and Zhang 2024): chunks in parallel, states between them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from attnprof.contracts import SchemeFacts, Spec
from attnprof.impl._kernels import OutsideKernel
from attnprof.shapes import Shape
from attnprof.words import DType

if TYPE_CHECKING:
    from torch import Tensor, nn

    from attnprof.layers.outside_kernel import KernelWork
    from attnprof.layers.outside_recurrence import After, Given

CHUNK = 64
SHORTEST_CHUNK = 16
Work = Callable[[int, int, int], tuple[int, int]]


def summed(m: int, d: int, c: int) -> tuple[int, int]:
    """A row: 4 m d through the state and 2 C (m + d) within its chunk; backward twice that, states and scores again."""
    return 4 * m * d + 2 * c * (m + d), 10 * m * d + 2 * c * (3 * m + 2 * d)


def corrected(m: int, d: int, c: int) -> tuple[int, int]:
    """A row: 6 m d, C (6 m + 4 d), 2 (C^2 - 1) / 3 for the inverse; backward twice that, all but the output again."""
    once = 6 * m * d + c * (6 * m + 4 * d) + 2 * (c * c - 1) // 3
    return once, 2 * once + 4 * m * d + 2 * c * (2 * m + d)


def transformed(m: int, d: int, c: int) -> tuple[int, int]:
    """A row: 8 m d, C (10 m + 8 d), and the inverse; backward twice that, all but the output again."""
    once = 8 * m * d + c * (10 * m + 8 * d) + 2 * (c * c - 1) // 3
    return once, 3 * once - 2 * m * d - 4 * c * d


@dataclass(frozen=True, slots=True)
class KernelForm:
    """A kernel: its module and function, the names of what it takes, its work, and how a core's streams become those.

    The first three of `names` are those of q, k and v. `kept`: what it keeps of a row and head for its backward.
    """

    module: str
    function: str
    names: tuple[str, ...]
    work: Work
    given: Given = lambda core, streams: streams
    after: After | None = None
    scale: float | None = None
    chunk: int = CHUNK
    kept: int = 0


QKV = ("q", "k", "v")
FORMS = {
    "retnet": KernelForm("retention", "chunk_retention", QKV, summed),
    "gla": KernelForm("gla", "chunk_gla", (*QKV, "g"), summed, kept=2 * CHUNK),
    "hgrn2": KernelForm(
        "gla", "chunk_gla", (*QKV, "g"), summed, lambda core, s: (s[0], 1 - s[1].exp(), s[2], s[1]), None, 1.0,
        kept=2 * CHUNK,
    ),
    "lightning": KernelForm(
        "simple_gla", "chunk_simple_gla", (*QKV, "g"), summed,
        lambda core, s: (*s, core.gates(s[2], s[2].shape[2]).expand(len(s[2]), -1, -1, -1)), None, 1.0,
    ),
    "mamba2": KernelForm(
        "simple_gla", "chunk_simple_gla", (*QKV, "g"), summed,
        lambda core, s: (s[0], s[1], s[2] * s[3], core.logs(s[3])),
        lambda core, mixed, s: mixed + core.skipped(s[2]), 1.0,
    ),
    "deltanet": KernelForm("delta_rule", "chunk_delta_rule", (*QKV, "beta"), corrected, kept=CHUNK),
    "gated_deltanet": KernelForm(
        "gated_delta_rule", "chunk_gated_delta_rule", (*QKV, "beta", "g"), corrected, kept=CHUNK,
    ),
    "kda": KernelForm("kda", "chunk_kda", (*QKV, "beta", "g"), corrected, kept=2 * CHUNK),
    "rwkv7": KernelForm(
        "rwkv7", "chunk_rwkv7", ("r", "k", "v", "a", "b", "w"), transformed,
        lambda core, s: (*s[:3], -s[3], s[3] * s[4], s[5]), None, 1.0, SHORTEST_CHUNK,
    ),
}  # fmt: skip


class FLA(OutsideKernel):
    """The chunk kernels of the recurrences that are written here; that of `linear` on the scheme's own features."""

    name = package = "fla"
    distribution = "flash-linear-attention"
    dtypes = (DType.FLOAT32, DType.FLOAT16, DType.BFLOAT16)

    def computes(self, scheme: SchemeFacts, shape: Shape) -> str | None:
        if scheme.maths not in ("linear", *FORMS):
            return f"it computes linear recurrences, of which these are written here: linear, {', '.join(FORMS)}"
        if not shape.causal:
            return "it goes through the past, and has no bidirectional form"
        return None if shape.n >= shape.heads else "it refuses fewer tokens than heads"

    def build(self, spec: Spec) -> nn.Module:
        from attnprof.layers.outside_recurrence import GatedCore, RecurrenceCore

        assert spec.scheme is not None
        plain = spec.scheme.written["eager"].core(spec)
        form = FORMS.get(spec.scheme.name)
        if form is None:
            return RecurrenceCore(spec, plain, lambda q, k, v: self.call(spec, q, k, v), self.work(spec), self.name)

        def call(*streams: Tensor) -> Tensor:
            return self.call(spec, *streams)

        return GatedCore(plain, call, form.given, form.after, self.work(spec), form.kept, self.name)

    def call(self, spec: Spec, q: Tensor, k: Tensor, v: Tensor, *gates: Tensor) -> Tensor:
        form = FORMS.get(spec.scheme.name) if spec.scheme else None
        if form is None:
            plain: Tensor = self.imported("ops.linear_attn").chunk_linear_attn(q, k, v, scale=1.0, normalize=True)[0]
            return plain
        kernel = vars(self.imported(f"ops.{form.module}"))[form.function]
        named = dict(zip(form.names, (q, k, v, *gates), strict=True))
        mixed: Tensor = kernel(**named, **({} if form.scale is None else {"scale": form.scale}))[0]
        return mixed

    def work(self, spec: Spec) -> KernelWork:
        """That of the form for each row, the last chunk whole; under gates of channels some of it goes pair by pair."""
        from attnprof.layers.outside_kernel import KernelWork

        shape = spec.shape
        form = FORMS.get(spec.scheme.name) if spec.scheme else None
        longest, work = (form.chunk, form.work) if form else (CHUNK, summed)
        chunk = min(longest, max(SHORTEST_CHUNK, 1 << (shape.n - 1).bit_length()))
        rows = shape.batch * shape.heads * -(-shape.n // chunk) * chunk
        forward, backward = work(key_width(spec), shape.d_v, chunk)
        return KernelWork(rows * forward, rows * backward, 0, 0, f"{chunk} x {chunk}")


def key_width(spec: Spec) -> int:
    """Rows of a head's state: features of `linear`, half a head of `gla`, a state's size, else a head's width."""
    if "state" in spec.params:
        return spec.number("state")
    d = spec.shape.d
    if spec.params.get("feature") == "poly2":
        return d * d
    return max(d // 2, 1) if spec.scheme is not None and spec.scheme.name == "gla" else d


IMPLEMENTATION = FLA()
