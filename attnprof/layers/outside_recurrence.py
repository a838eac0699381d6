"""A linear recurrence by another package's kernel, on the streams that the scheme itself makes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

from torch import Tensor, nn

from attnprof.contracts import Checked, Spec
from attnprof.errors import Unsupported
from attnprof.layers.index_tables import counting
from attnprof.layers.outside_kernel import VALUES, Call, KernelWork, OutsideCore, outside

Given = Callable[[Any, tuple[Tensor, ...]], tuple[Tensor, ...]]
After = Callable[[Any, Tensor, tuple[Tensor, ...]], Tensor]


@runtime_checkable
class MapsFeatures(Protocol):
    """A core whose queries and keys go through a feature map."""

    def phi(self, x: Tensor) -> Tensor:
        """`[..., d]` to `[..., m]`."""
        ...


class RecurrenceCore(OutsideCore):
    """`q [b, h, n, d]`, `k, v [b, g, n, d]`: features here, sums over the past there."""

    def __init__(self, spec: Spec, plain: nn.Module, call: Call, work: KernelWork, kernel: str) -> None:
        super().__init__(spec, call, work, kernel)
        if not isinstance(plain, MapsFeatures) or not isinstance(plain, Checked):
            raise Unsupported(f"{kernel} takes features of queries and keys, which {type(plain).__name__} has none of")
        self.phi, self.oracle = plain.phi, plain.reference

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        repeat = q.shape[1] // k.shape[1]
        k, v = (x.repeat_interleave(repeat, 1) if repeat > 1 else x for x in (k, v))
        return super().forward(self.phi(q), self.phi(k), v)

    def reference(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """That of the scheme's own maths."""
        return self.oracle(q, k, v)


class GatedCore(nn.Module):
    """The streams of a scheme's own core, as a kernel takes them: `given` makes q, k, v and gates, all of h heads.

    A gate of one number is `[b, n, h]` there. `after` makes the core's output of the kernel's; `kept`: numbers of a
    row and head that the kernel keeps for its backward beside what it is given.
    """

    def __init__(
        self,
        plain: nn.Module,
        call: Callable[..., Tensor],
        given: Given,
        after: After | None,
        work: KernelWork,
        kept: int,
        kernel: str,
    ) -> None:
        super().__init__()
        assert isinstance(plain, Checked), "a core that is written has its oracle"
        self.plain, self.oracle, self.kernel, self.work = plain, plain.reference, kernel, work
        self.call, self.given, self.after, self.kept = call, given, after, kept

    def forward(self, *streams: Tensor) -> Tensor:
        taken = self.given(self.plain, streams)
        heads = taken[VALUES].shape[1]
        taken = tuple(x.repeat_interleave(heads // x.shape[1], 1) if x.shape[1] < heads else x for x in taken)
        if counting():
            mixed = outside(taken, False, self.kept, self.kernel, *self.work)[0]
        else:
            rows_first = (x.transpose(1, 2) for x in taken)
            mixed = self.call(*(x.squeeze(-1) if x.shape[-1] == 1 else x for x in rows_first)).transpose(1, 2)
        return mixed if self.after is None else self.after(self.plain, mixed, streams)

    def reference(self, *streams: Tensor) -> Tensor:
        """That of the scheme's own maths."""
        found = self.oracle(*streams)
        assert isinstance(found, Tensor)
        return found
