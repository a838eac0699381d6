"""Who reaches whom: patterns as graphs, engines that answer exactly, metrics over their answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from attnprof.scheme import Target


def analyze(target: Target, n: int | None = None, **options: Any) -> Mapping[str, Any]:
    """The facts of a target's graph at length n (default: the paper's) by their JSON keys.

    `options` are those of `attnprof.graph.analysis.Request`: causal, layers, heads, seed, seeds, engine.
    """
    from attnprof.graph.analysis import Request
    from attnprof.graph.analysis import analyze as analysed

    return analysed(target, Request(n=n, **options)).facts
