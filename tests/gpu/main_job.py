"""Step 3: a sweep of the whole catalogue by the command line, one length after the other, and the page of all."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

from tests.gpu.limited import Ended, run_limited
from tests.gpu.sheet import Sheet

LENGTHS = ("1k", "16k", "64k", "4k", "32k", "8k", "2k")
DRY_LENGTHS = ("64",)
DRY = ("dense", "sliding_window", "--dim", "64", "--heads", "2", "--time-budget", "0.05", "--rounds", "1")
IN_EARNEST = ("--rounds", "3", "--timeout", "30", "--dtype", "bfloat16")
PAGE_S, DRY_PAGE_S = 60.0, 15.0
USUAL = (0, 3)  # 3: some points failed or ran out of memory, which is a result


def work(sheet: Sheet) -> None:
    """Sweep until the time is over, then write the page."""
    lengths = DRY_LENGTHS if sheet.small else LENGTHS
    runs = [run for i, length in enumerate(lengths) if (run := swept(sheet, length, len(lengths) - i)) is not None]
    sheet.summary["lengths"] = [run.name for run in runs]
    if not runs:
        sheet.failed = "no length was swept; see the logs"
        return
    page(sheet, runs)


def swept(sheet: Sheet, length: str, still: int) -> Path | None:
    """One run of `still` that share the time; None where there is none left, or it left nothing.

    What is recorded when it is stopped stays.
    """
    left = sheet.left_s() - (DRY_PAGE_S if sheet.small else PAGE_S)
    if left < 1:
        sheet.left_out += 1
        return None
    run, settings = sheet.folder / length, DRY if sheet.small else IN_EARNEST
    given = ["--device", sheet.device, "--no-page", "--time", f"{max(1.0, left / still):.0f}s"]
    command = ["sweep", "--lengths", length, *given, "--out", str(run), *settings]
    ended = told(sheet, f"sweep-{length}.txt", command, left, interrupt=True)
    row = {"kind": "sweep", "length": length, "command": " ".join(["attnprof", *command]), "exit_code": ended.code}
    sheet.add({**row, "wall_s": ended.wall_s, "stopped": ended.timed_out, "points": statuses(run)})
    sheet.left_out += ended.timed_out
    if ended.code not in USUAL and not ended.timed_out:
        sheet.failed = f"the sweep of {length} ended with exit code {ended.code}; see sweep-{length}.txt"
    return run if statuses(run) else None


def statuses(run: Path) -> dict[str, int]:
    """How many points of a run have which status."""
    from attnprof.store import HEADER, RunFolder

    if not (run / HEADER).is_file():
        return {}
    found: dict[str, int] = {}
    for record in RunFolder.open(run).records():
        found[record.status] = found.get(record.status, 0) + 1
    return found


def page(sheet: Sheet, runs: list[Path]) -> None:
    """The page of all lengths, without plotly where that is not installed."""
    static = importlib.util.find_spec("plotly") is None
    if static:
        sheet.absent["plotly"] = "the page is --static: its figures do not move"
    command = ["report", *map(str, runs), "--out", str(sheet.folder / "report.html"), *(["--static"] if static else [])]
    ended = told(sheet, "report.txt", command, max(sheet.left_s(), 1))
    sheet.add({"kind": "page", "command": " ".join(["attnprof", *command]), "exit_code": ended.code})
    if ended.code != 0:
        sheet.failed = f"the page was not written: exit code {ended.code}; see report.txt"


def told(sheet: Sheet, log: str, command: list[str], limit_s: float, *, interrupt: bool = False) -> Ended:
    """One command of attnprof, as a user gives it."""
    return run_limited([sys.executable, "-m", "attnprof", *command], sheet.folder / log, limit_s, interrupt=interrupt)
