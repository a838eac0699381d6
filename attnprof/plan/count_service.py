"""Counts of targets at shapes and passes: from one cache, else counted now, by several processes where that helps."""

from __future__ import annotations

import contextlib
import functools
import gc
import itertools
import multiprocessing
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from attnprof.contracts import Target
from attnprof.errors import Unsupported
from attnprof.machine import usable_cores
from attnprof.plan.count_cache import CountCache
from attnprof.records import JsonDict, content_hash, plain
from attnprof.shapes import Shape
from attnprof.words import Pass

CountKind = Literal["row", "forms", "peak", "modules", "groups"]
ShareWatch = Callable[[int, int], object]
WORTH = 40  # rows: fewer are counted sooner than processes learn how; the forms of a target take as long as so many


@dataclass(frozen=True, slots=True)
class CountTask:
    """One thing to count of a target: a `row` of its table, its closed `forms`, its `peak` by part, its `modules`, and
    of a stack the rows of its `groups`.

    `sizes` are symbols of the forms. `kept` tells whether its code is known by its hash, so that the answer may be
    remembered and asked of another process.
    """

    kind: CountKind
    target: Target
    shape: Shape
    pass_: Pass | None = None
    sizes: tuple[str, ...] = ()
    kept: bool = True

    @property
    def key(self) -> str:
        """What the answer depends on, beside the code."""
        target = self.target
        named = {"target": target.name, "impl": target.impl, "parameters": dict(target.parameters)}
        asked = {"kind": self.kind, "shape": plain(self.shape), "pass": self.pass_, "sizes": self.sizes}
        return content_hash({**named, **asked})

    def count(self) -> dict[str, object]:
        """The answer, as plain data. Raises whatever counting the target raises."""
        return MAKERS[self.kind](self)


class CountService:
    """Answers of count tasks; without a cache, those of this run are remembered."""

    def __init__(self, cache: CountCache | None = None) -> None:
        self.cache = cache
        self.values: JsonDict = cache.read() if cache else {}
        self.made: dict[str, object] = {}

    def answer(self, task: CountTask) -> JsonDict:
        """The answer of a task, counted now unless it is known. Raises whatever counting it raises."""
        if not task.kept:
            return _counted(task)
        key = task.key
        if key not in self.values:
            self._take({key: _counted(task)})
        return self.values[key]

    def prepare(self, tasks: Iterable[CountTask], watch: ShareWatch = lambda done, total: None) -> None:
        """Count what is not known of some tasks, where several processes can share it; `watch` is told of each share.

        Processes are forked, and so share all that is imported. What fails in one is left to `answer`, so that its
        error is raised there; so is everything where there is no fork, no second core, or little to share.
        """
        missing = [task for task in tasks if task.kept and task.key not in self.values]
        shares = [list(share) for _, share in itertools.groupby(missing, lambda task: (id(task.target), task.kind))]
        work = sum(WORTH if task.kind == "forms" else 1 for task in missing)
        processes = min(usable_cores(), len(shares)) if work >= WORTH else 1
        if processes < 2 or "fork" not in multiprocessing.get_all_start_methods():
            return
        from concurrent.futures import ProcessPoolExecutor, as_completed
        from concurrent.futures.process import BrokenProcessPool

        load()
        fork = multiprocessing.get_context("fork")
        with (
            contextlib.suppress(BrokenProcessPool),  # a child was killed
            ProcessPoolExecutor(processes, fork, initializer=_shares.extend, initargs=(shares,)) as pool,
        ):
            waiting = [pool.submit(_share, at) for at in range(len(shares))]
            for done, future in enumerate(as_completed(waiting), start=1):
                self._take(future.result())
                watch(done, len(shares))

    def _take(self, made: Mapping[str, object]) -> None:
        self.values.update(made)
        self.made.update(made)

    def close(self) -> None:
        """Put what is new into the cache."""
        if self.cache:
            self.cache.add(self.made)


_shares: list[Sequence[CountTask]] = []  # of a forked child, which inherits them: targets need not be pickled


def _share(at: int) -> JsonDict:
    """The answers of one share by their keys, in a child; those that fail are left out."""
    made = {}
    for task in _shares[at]:
        with contextlib.suppress(Exception):
            made[task.key] = task.count()
    return made


def _counted(task: CountTask) -> dict[str, object]:
    load()
    return task.count()


@functools.cache
def load() -> None:
    """Import all that counting needs, and leave it out of the collector's sight from then on.

    While torch is imported there is no garbage, but there are a million new objects, through which the collector would
    walk again and again; and so it would once more when the process ends.
    """
    gc.disable()
    try:
        from attnprof.counting.counted import count
        from attnprof.torch_private import fake_mode

        assert count
        fake_mode()  # imports the rest on its first call
    finally:
        gc.freeze()
        gc.enable()


def _row(task: CountTask) -> JsonDict:
    """The cost of one pass; of a combination that the scheme does not define, the reason."""
    from attnprof.counting.counted import count

    assert task.pass_
    try:
        return plain(count(task.target, task.shape, task.pass_))
    except Unsupported as error:
        why = f"{error.message}; {error.hint}" if error.hint else error.message
        return {"cost": {}, "reasons": {"cost": why}, "flags": ["unsupported"]}


def _forms(task: CountTask) -> dict[str, object]:
    """The closed forms as plain text and LaTeX, how they were derived, and the verdict on the paper's claim."""
    from attnprof.closed_forms.derive import closed_forms
    from attnprof.closed_forms.growth import growth, verdict

    target, shape = task.target, task.shape
    found = closed_forms(target, shape, sizes=task.sizes)
    core = found.forms.get("forward_core")
    follows = core is not None and any(target.parameters.get(name, 0) is None for name in core.names)
    order = growth(target, shape, "forward_core").order if follows else None
    claim = target.card.complexity or target.card.complexity_ours
    return {
        "closed_forms": found.to_json(),
        "latex": {name: form.latex for name, form in found.forms.items()},
        "bytes": {name: found.forms[name].text for name in ("param_bytes", "state_bytes") if name in found.forms},
        "methods": {name: form.method for name, form in found.forms.items()},
        "valid": {name: form.valid for name, form in found.forms.items()},
        "held": {name: dict(form.at) for name, form in found.forms.items()},
        "why": found.missing or found.why,
        "claimed": claim or None,
        "verdict": verdict(claim, found.forms, order),
    }


def _peak(task: CountTask) -> JsonDict:
    """What memory holds at the peak of one pass, part by part."""
    from attnprof.plan.waterfall import waterfall

    assert task.pass_
    return plain(waterfall(task.target, task.shape, task.pass_))


def _modules(task: CountTask) -> JsonDict:
    """FLOPs of each submodule of one pass."""
    from attnprof.plan.by_module import flops_by_module

    assert task.pass_
    return flops_by_module(task.target, task.shape, task.pass_)


def _groups(task: CountTask) -> dict[str, object]:
    """What each group of a stack costs in one pass; why there is none, where a layer has no such pass."""
    from attnprof.plan.stack_rows import rows_of

    assert task.pass_
    try:
        return rows_of(task.target, task.shape, task.pass_)
    except Unsupported as error:
        return {"n": task.shape.n, "pass": task.pass_, "groups": [], "ends": [], "why": error.message}


MAKERS: dict[CountKind, Callable[[CountTask], dict[str, object]]] = {
    "row": _row,
    "forms": _forms,
    "peak": _peak,
    "modules": _modules,
    "groups": _groups,
}
