"""Who reaches whom: patterns as graphs, engines that answer exactly, metrics over their answers."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from attnprof.errors import unknown

if TYPE_CHECKING:
    from attnprof.contracts import Target


def analyze(target: Target, n: int | None = None, **options: Any) -> Mapping[str, Any]:
    """The facts of a target's graph at length n (default: the paper's) by their JSON keys.

    `options` are those of `attnprof.graph.analysis.Request`: causal, layers, heads, seed, seeds, engine, ... Raises
    `AttnprofError` for any other.
    """
    from attnprof.graph.analysis import Request
    from attnprof.graph.analysis import analyze as analysed

    known = [option.name for option in dataclasses.fields(Request) if option.name != "n"]
    for name in options:
        if name not in known:
            raise unknown("option of analyze", name, known)
    return analysed(target, Request(n=n, **options)).facts
