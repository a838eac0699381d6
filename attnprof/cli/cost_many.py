"""The answers of `attnprof cost` for many targets: from the cache, and what it lacks by several processes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from attnprof.machine import usable_cores

WORTH_A_PROCESS = 4


def answer_all(names: Sequence[str], options: dict[str, Any], code: str, *, skip: bool) -> list[dict[str, Any]]:
    """The answers in the order of the names; without torch where the cache has them all."""
    from attnprof.cli.cost import attempt
    from attnprof.plan.count_cache import CountCache, Missing

    cache = CountCache(code, complete=True)
    found: dict[str, dict[str, Any] | None] = {}
    for name in names:
        try:
            found[name] = attempt(name, options, cache, skip=skip)
        except Missing:
            continue
    left = [name for name in names if name not in found]
    for name, made, values in made_for(left, options, code, skip=skip):
        found[name] = made
        cache.add(values)
    cache.close()
    return [made for name in names if (made := found[name])]


def made_for(names: Sequence[str], options: dict[str, Any], code: str, *, skip: bool) -> list[tuple[str, Any, Any]]:
    """Answers that have to be counted, each with the values to remember: in this process if they are few."""
    processes = min(usable_cores(), len(names))
    if len(names) < WORTH_A_PROCESS or processes < 2:
        return [one(name, options, code, skip) for name in names]
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        waiting = [pool.submit(one, name, options, code, skip) for name in names]
        return [future.result() for future in waiting]


def one(name: str, options: dict[str, Any], code: str, skip: bool) -> tuple[str, Any, Any]:
    """One target, counted: its name, its answer, the values to remember."""
    from attnprof.cli.cost import attempt
    from attnprof.cli.loading import load
    from attnprof.plan.count_cache import CountCache

    load()
    cache = CountCache(code)
    return name, attempt(name, options, cache, skip=skip), cache.made
