"""The dispatch mode that sees every operator of a pass, forward and backward, and accounts for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from types import TracebackType
from typing import ClassVar, Self

import torch
from torch import Tensor

from attnprof.counting.classify import OperatorKind, kind_of, worker
from attnprof.counting.formulas import Formula, OperatorWork, formula_of
from attnprof.counting.origin import ForwardSpans, Origin, engine_node
from attnprof.counting.registry import Unknowable, rules
from attnprof.counting.shortcut import shortcut
from attnprof.counting.storages import Lifetimes, flat
from attnprof.counting.tally import OperatorTally
from attnprof.counting.uncounted import reason_of
from attnprof.counting.variants import factor_positions, out_arguments
from attnprof.counting.workspace import Workspace, is_unseen, workspace_of
from attnprof.layers.selecting import watching
from attnprof.layers.turns import turn
from attnprof.torch_private import (
    Arguments,
    DispatchMode,
    FakeTensorMode,
    Keywords,
    Operator,
    current_node,
    fake_device,
    is_held_once,
    is_overload,
    schema,
    storage_key,
    use_count,
)

# What reads, of its first argument, only the elements that its result is made of.
PICKS = frozenset({"gather", "index.Tensor", "index_select", "embedding"})
DEVICE_OF = torch.ops.prim.device.default
ADD = torch.ops.aten.add.Tensor
# What backward formulas write in place on ordinary tensors, but out of place on fake ones.
IN_PLACE: dict[Operator, Operator] = {
    ADD: torch.ops.aten.add_.Tensor,
    torch.ops.aten.scatter.src: torch.ops.aten.scatter_.src,
    torch.ops.aten.scatter_add.default: torch.ops.aten.scatter_add_.default,
    torch.ops.aten.index_put.default: torch.ops.aten.index_put_.default,
    torch.ops.aten.index_add.default: torch.ops.aten.index_add_.default,
}


@dataclass(frozen=True, slots=True)
class Rule:
    """How one overload is accounted for, looked up once."""

    name: str
    kind: OperatorKind
    formula: Formula | None
    work: Callable[[Arguments, object], OperatorWork | None]
    workspace: Workspace | None
    factors: tuple[int, ...] = ()
    outs: frozenset[str] = frozenset()
    reason: str = ""
    unseen: bool = False


class OperatorCounter(DispatchMode):
    """Adds every operator to a tally and follows the memory of its results; a mode for fake or real tensors.

    Sits above a `FakeTensorMode`. `origin` decides which products belong to the scheme's core.
    """

    sole_uses: ClassVar[int] = 0

    def __init__(
        self, tally: OperatorTally, lives: Lifetimes, origin: Origin, mode: FakeTensorMode | None = None
    ) -> None:
        super().__init__()
        self.mode = mode
        self.tally, self.lives, self.origin = tally, lives, origin
        self.watched: set[int] = set()
        self.reads: dict[tuple[int, int], int] = {}
        self.selection = ForwardSpans()
        self.listening: list[AbstractContextManager[None]] = []
        self.calls = 0

    def short(self, func: Operator, args: Arguments, kwargs: Keywords) -> object:
        """The result by a shorter way than the general one, where there is one."""
        return NotImplemented if self.mode is None else shortcut(func, args, kwargs, self.mode)

    def __torch_dispatch__(
        self, func: Operator, types: Sequence[type], args: Arguments = (), kwargs: Keywords | None = None
    ) -> object:
        if func is DEVICE_OF:
            return fake_device(args[0]) or func(*args)
        self.calls += 1
        kwargs = kwargs or {}
        if func in IN_PLACE and self._engine_reuses(args):
            func = IN_PLACE[func]
        rule = rules.get(func) or learn(func)
        if rule.kind is OperatorKind.COMPOSITE and is_overload(func):
            with self:
                return func.decompose(*args, **kwargs)
        out = self.short(func, args, kwargs)
        if out is NotImplemented:
            out = func(*args, **kwargs)
        if rule.kind is not OperatorKind.VIEW:
            self._account(rule, args, kwargs, out)
        elif self.origin.follows:
            self.origin.made(rule.name, args, out)
        return out

    def __enter__(self) -> Self:
        self.listening.append(watching(self.selection) if not self.listening else nullcontext())
        self.listening[-1].__enter__()
        return super().__enter__()  # type: ignore[no-any-return]

    def __exit__(
        self, exc_type: type[BaseException] | None, exc_value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        super().__exit__(exc_type, exc_value, traceback)
        self.listening.pop().__exit__(exc_type, exc_value, traceback)
        self.tally.core -= self.origin.misjudged()

    def _account(self, rule: Rule, args: Arguments, kwargs: Keywords, out: object) -> None:
        for t in flat((out,)):
            self.lives.born(t)
        self.lives.reached(rule.workspace(*args, made=out, **kwargs) if rule.workspace else 0)
        if rule.unseen:
            self.tally.unseen[rule.name] = None
        flops = self._count(rule, args, kwargs, out)
        if flops is None and rule.kind is not OperatorKind.UNKNOWN:
            extra = rule.work(args, out)
            if extra is not None:
                self.tally.other(extra)
        if self.origin.follows:
            self.origin.made(rule.name, (*args, *kwargs.values()) if kwargs else args, out, flops)
        self.tally.moved_bytes += moved(args, out)
        if self.watched:
            self._watch(rule, args, out)

    def _count(self, rule: Rule, args: Arguments, kwargs: Keywords, out: object) -> int | None:
        """Tally a product, or an operator that nothing is known of: FLOPs of a product, else None."""
        if rule.formula is None:
            if rule.kind is OperatorKind.UNKNOWN:
                self.tally.unknown(rule.name, rule.reason)
            return None
        read = {name: value for name, value in kwargs.items() if name not in rule.outs} if rule.outs else kwargs
        work = rule.formula(*args, out=out, **read)
        if isinstance(work, Unknowable):
            self.tally.unknown(rule.name, work.reason)
            return None
        work = work if isinstance(work, OperatorWork) else OperatorWork(work)
        factors = flat(args[at] for at in rule.factors if at < len(args))
        core, chooses = self.origin.is_core(factors), self.selection.holds_now()
        self.tally.product(rule.name, work, core and not chooses, self.origin.name(), selection=chooses)
        return work.flops

    def _watch(self, rule: Rule, args: Arguments, out: object) -> None:
        """The most that one operator of a layer reads of each watched storage; of what it picks from, what it picks."""
        for at, t in enumerate(flat(args)):
            key = storage_key(t)
            if key in self.watched:
                read = _distinct(t)
                if at == 0 and rule.name in PICKS:
                    read = min(read, sum(_distinct(made) for made in flat((out,))))
                at_turn = turn.get(), key
                self.reads[at_turn] = max(self.reads.get(at_turn, 0), read)

    def _engine_reuses(self, args: Arguments) -> bool:
        """Whether the autograd engine itself writes a gradient here, and would do so in its first argument's memory."""
        if engine_node() is None:
            return False
        old, new = args[0], args[1]
        if isinstance(new, Tensor) and len(args) == 2 and old.shape != new.shape:
            return False
        return is_held_once(old, self.sole_uses) and _dense(old)

    @classmethod
    def calibrate(cls) -> None:
        """Learn, once, what the use count of a gradient looks like here when only the engine holds it."""
        if cls.sole_uses:
            return
        probe = _UseProbe()
        x = torch.zeros(2, device="meta", requires_grad=True)
        with probe:
            (x.exp() + x.sin()).backward(torch.zeros(2, device="meta"))
        cls.sole_uses = probe.uses


class _UseProbe(DispatchMode):
    """Reads the use count of a gradient that nobody but the engine holds, from where `OperatorCounter` reads it."""

    uses = 0

    def __torch_dispatch__(
        self, func: Operator, types: Sequence[type], args: Arguments = (), kwargs: Keywords | None = None
    ) -> object:
        kwargs = kwargs or {}
        if func is ADD and current_node() is not None:
            self.uses = use_count(args[0])
        return func(*args, **kwargs)


def learn(func: Operator) -> Rule:
    """The rule of an overload that is met for the first time."""
    formula = formula_of(func)
    if not is_overload(func):
        kind = OperatorKind.COUNTED if formula else OperatorKind.UNKNOWN
        rule = Rule(str(func), kind, formula, lambda args, out: None, None, factors=(0, 1, 2), unseen=True)
    else:
        kind = OperatorKind.COUNTED if formula else kind_of(func)
        rule = Rule(
            name=schema(func).name.replace("::", ".").removeprefix("aten."),
            kind=kind,
            formula=formula,
            work=worker(func, kind),
            workspace=workspace_of(func, kind),
            factors=factor_positions(func),
            outs=out_arguments(func),
            reason=reason_of(func) if kind is OperatorKind.UNKNOWN else "",
            unseen=is_unseen(func, kind),
        )
    rules[func] = rule
    return rule


def moved(args: Arguments, out: object) -> int:
    """Bytes that an operator reads and writes once, an expanded or repeated element once."""
    return sum(_distinct(t) for t in flat(args)) + sum(_distinct(t) for t in flat((out,)))


def _distinct(t: Tensor) -> int:
    count = t.element_size()
    for size, stride in zip(t.shape, t.stride(), strict=True):
        if stride != 0:
            count = count * size
    return count


def _dense(t: Tensor) -> bool:
    """Whether a tensor's elements lie side by side in some order, none twice."""
    expected = 1
    for stride, size in sorted((stride, size) for stride, size in zip(t.stride(), t.shape, strict=True) if size != 1):
        if stride != expected:
            return False
        expected *= size
    return True
