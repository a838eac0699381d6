"""Which points that ended with a status the same command tries again."""

from __future__ import annotations

from attnprof.sweeps.lane import Underway
from attnprof.sweeps.outlook import SAFE_SHARE, Budget, resident_bytes
from attnprof.words import DeviceName, Status

AGAIN = (Status.FAILED, Status.KILLED)


def retried(standing: Underway, budget: Budget) -> bool:
    """Whether a point that ended with a status is worth another attempt: it failed, or its limit is another now."""
    limit = standing.limit
    if standing.status in AGAIN:
        return True
    if standing.status is Status.OVER_BUDGET:
        return limit is None or budget.total_s is None or budget.total_s > limit
    if standing.status is Status.TIMEOUT:
        return limit is None or budget.timeout_s > limit
    if standing.status in (Status.PREDICTED_OOM, Status.OOM):
        return _fits_now(standing)
    return False


def _fits_now(standing: Underway) -> bool:
    """Whether there is more memory now than when a point did not fit; a device's own is asked for by the visit."""
    from attnprof.device import device_named

    if standing.point.device is not DeviceName.CPU or standing.cost is None:
        return True
    need = resident_bytes(standing.point, standing.cost)
    free = device_named(standing.point.device).free_bytes()
    if standing.status is Status.OOM:
        return standing.limit is None or SAFE_SHARE * free > 2 * standing.limit
    return need <= SAFE_SHARE * free
