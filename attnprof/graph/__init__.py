"""Who reaches whom: patterns as graphs, engines that answer exactly, metrics over their answers."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from attnprof.errors import unknown

if TYPE_CHECKING:
    import networkx

    from attnprof.contracts import Target
    from attnprof.graph.analysis import Analysis


class AnalyzedGraph(dict[str, object]):
    """The facts of a target's graph by their JSON keys; and the graph itself, for networkx."""

    def __init__(self, analysis: Analysis) -> None:
        super().__init__(analysis.facts)
        self._subject = analysis.subject

    def digraph(self, layer: int | None = None, head: int | None = None) -> networkx.DiGraph:
        """The graph, i -> j where query i reads key j; layers and heads united, unless one is chosen (from 1).

        Where they differ, the edges have the attributes `layers` and `heads`: those that have the edge, as "1,3".
        Raises `AttnprofError` above 2 million edges, for a layer or head that there is not, and where tokens meet in
        slots or through a kernel.
        """
        from attnprof.graph.export import digraph_of

        return digraph_of(self._subject, layer, head)


def analyze(target: Target, n: int | None = None, **options: Any) -> AnalyzedGraph:
    """The facts of a target's graph at length n (default: the paper's) by their JSON keys, and its `digraph()`.

    `options` are those of `attnprof.graph.analysis.Request`: causal, layers, heads, seed, seeds, engine, ... Raises
    `AttnprofError` for any other.
    """
    from attnprof.graph.analysis import Request
    from attnprof.graph.analysis import analyze as analysed

    known = [option.name for option in dataclasses.fields(Request) if option.name != "n"]
    for name in options:
        if name not in known:
            raise unknown("option of analyze", name, known)
    return AnalyzedGraph(analysed(target, Request(n=n, **options)))
