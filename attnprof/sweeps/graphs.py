"""What each swept scheme can see, beside what it costs: one graph record a target, at a length that answers at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from attnprof.contracts import SchemeTarget
from attnprof.errors import AttnprofError
from attnprof.records import Record
from attnprof.store import RunFolder
from attnprof.sweeps.points import TargetPoints
from attnprof.words import RecordKind

LONGEST = 4096


def add_graphs(jobs: Sequence[TargetPoints], run: RunFolder, note: Callable[[str], None]) -> list[Record]:
    """Append a graph record of every target with a pattern that has none in the run yet; a user's module has none.

    At most 4096 tokens; patterns that depend on data at the length at which `graph` shows them. A pattern that cannot
    be analysed is told to `note`.
    """
    known = {record.point.target for record in run.records() if record.kind is RecordKind.GRAPH}
    made = []
    for job in {job.name: job for job in jobs}.values():
        if job.name in known:
            continue
        try:
            record = _graph(job)
        except AttnprofError as error:
            note(f"no graph of {job.name}: {error.message}")
            continue
        if record is not None:
            run.append(record)
            made.append(record)
    return made


def _graph(job: TargetPoints) -> Record | None:
    from attnprof.graph.analysis import Request, analyze, selecting_n
    from attnprof.graph.record import graph_record

    target = job.find()
    if not isinstance(target, SchemeTarget):
        return None
    longest = max(planned.point.shape.n for planned in job.points)
    shape = job.points[0].point.shape
    n = min(longest, LONGEST)
    if target.card.data_dependent:
        n = selecting_n(target, shape.replace(n=n))
    request = Request(n=n, causal=shape.causal, heads=shape.heads, dim=shape.dim, seed=shape.seed, seeds=0, side=0)
    return graph_record(analyze(target, request), job.points[0].point.source)
