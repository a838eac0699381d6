"""Work for the driver of `make gpu` that takes no device: one that is done, one that fails, one that never ends."""

from __future__ import annotations

import subprocess
import sys
import time

from tests.gpu.sheet import Sheet


def work(sheet: Sheet) -> None:
    """What the last part of the sheet's folder says."""
    sheet.add({"kind": "fake", "n": 1})
    {"good": good, "bad": bad, "dead": dead, "endless": endless, "late": late}[sheet.folder.name](sheet)


def good(sheet: Sheet) -> None:
    """Leaves a feature that is not built."""
    sheet.not_built["--fly"] = "wings"


def bad(sheet: Sheet) -> None:
    """Raises."""
    raise ValueError("no such thing")


def dead(sheet: Sheet) -> None:
    """Ends without a word."""
    sys.exit(7)


def endless(sheet: Sheet) -> None:
    """Starts a process that leads a session of its own, writes its number, and waits."""
    child = subprocess.Popen(["sleep", "600"], start_new_session=True)
    (sheet.folder / "child").write_text(str(child.pid))
    time.sleep(600)


def late(sheet: Sheet) -> None:
    """Has more to do than there is time for."""
    for _ in sheet.within(range(1000), share=0.0):
        time.sleep(0.1)
