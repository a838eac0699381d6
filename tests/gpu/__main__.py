"""`python -m tests.gpu --out DIR`: the first half hour on a device; `--work` is how the driver calls itself."""

from __future__ import annotations

import argparse
import importlib
import sys
import traceback
from pathlib import Path

from tests.gpu.driver import Hour, drive
from tests.gpu.sheet import Sheet, why
from tests.gpu.step import STEPS, Step

USAGE = 2


def main(arguments: list[str] | None = None) -> int:
    """Parse, and do all steps, or the one that the driver asked for."""
    parser = argparse.ArgumentParser(prog="make gpu", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for the results")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda", help="cpu: a dry run at small sizes")
    parser.add_argument("--wheels", type=Path, help="folder of wheels of packages that are not installed")
    parser.add_argument("--steps", default="", help="numbers of the steps to do, e.g. 1,2; default: all")
    parser.add_argument("--work", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--limit", type=float, default=60.0, help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.work:
        return work(given.work, Sheet(given.device, given.folder, given.limit))
    if given.wheels and not given.wheels.is_dir():
        parser.error(f"--wheels {given.wheels} is not a folder")
    return drive(Hour(chosen(parser, given.steps), given.device, given.out, given.wheels))


def chosen(parser: argparse.ArgumentParser, text: str) -> tuple[Step, ...]:
    """The steps that are named by number, all of them by default."""
    known = {step.name.partition("-")[0]: step for step in STEPS}
    asked = [part.strip() for part in text.split(",") if part.strip()]
    for part in asked:
        if part not in known:
            parser.error(f"there is no step {part!r}; steps: {', '.join(known)}")
    return tuple(known[part] for part in asked) or STEPS


def work(module: str, sheet: Sheet) -> int:
    """One step, in this process. What it raises is its result."""
    try:
        importlib.import_module(module).work(sheet)
    except Exception as error:
        traceback.print_exc()
        sheet.failed = why(error)
    sheet.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
