"""A plan over code that is not ours, made in a child: what that prints, breaks or ends is not this process."""

from __future__ import annotations

from collections.abc import Sequence

from attnprof.errors import AttnprofError
from attnprof.sweeps.points import SweepRequest, TargetPoints
from attnprof.sweeps.worker import Died, Worker


def plan_apart(ask: SweepRequest, explicit: Sequence[str], timeout_s: float) -> tuple[TargetPoints, ...]:
    """The jobs of a sweep. Raises `AttnprofError` for what cannot be used, or does not come to an end in time."""
    worker = Worker(None)
    try:
        answer = worker.ask({"do": "plan", "ask": ask.to_json(), "explicit": list(explicit)}, timeout_s)
    except Died as death:
        named = ", ".join(ask.targets)
        raise AttnprofError(f"{named} cannot be found: {death}", hint="a longer --timeout, or mend the file") from death
    finally:
        worker.close()
    if not answer["ok"]:
        raise AttnprofError(answer["message"], hint=answer.get("hint") or "see what the file does when it is imported")
    return tuple(TargetPoints.from_json(job) for job in answer["jobs"])
