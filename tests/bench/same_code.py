"""The same small sweep again and again, each compared with the one before: how often is it called SLOWER?

    python -m tests.bench.same_code 20

Every comparison is made twice: as `attnprof compare` makes it, and with all flags taken away, as if the machine had
been quiet, which is the harder question.
"""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from attnprof.cli.compare import drifted
from attnprof.comparison import compare_runs
from attnprof.store import RunFolder
from tests.cli.console import ENV, command

ASK = ("sweep", "dense", "flash", "--lengths", "256,512", "--dim", "128", "--heads", "2", "--no-page", "--rounds", "4")


def swept(out: Path) -> RunFolder:
    """One run."""
    subprocess.run(command(*ASK, "--time", "60s", "--time-budget", "0.2", "--out", out), env=ENV, capture_output=True)
    return RunFolder.open(out)


def main(count: int) -> None:
    """Tell the verdicts of so many comparisons."""
    flagged, bare, outside = Counter[str](), Counter[str](), Counter[bool]()
    with tempfile.TemporaryDirectory() as folder:
        before = swept(Path(folder) / "0")
        for i in range(1, count + 1):
            after = swept(Path(folder) / str(i))
            old, new = before.records(), after.records()
            drift = drifted(before.header, after.header)
            flagged.update(row.verdict.value for row in compare_runs(old, new, drift=drift).rows)
            plain = [[dataclasses.replace(record, flags=()) for record in side] for side in (old, new)]
            rows = compare_runs(*plain, drift=drift).rows
            bare.update(row.verdict.value for row in rows)
            outside.update(row.a.high < row.b.low or row.b.high < row.a.low for row in rows)
            before = after
            print(f"{i}: {dict(flagged)}; without flags {dict(bare)}; apart {dict(outside)}", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20)
