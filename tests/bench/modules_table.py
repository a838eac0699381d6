"""`docs/modules.md` by its own command lines: each row through `cost`, `check`, `graph`, `sweep`, against oracles.

    python -m tests.bench.modules_table [--write] [--part K/N] [WORD...]     # rows that have a WORD; all without

Oracles, which share nothing with attnprof's counting: `FlopCounterMode` under the math kernel on real tensors, torch's
hooks for what is saved, the CPU allocator's own events for peaks. The commands run in this process, so that packages
are imported once; a sweep's children import them again.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import re
import shlex
import sys
import tempfile
import traceback
import warnings
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from attnprof.cli.main import main
from attnprof.counting.running import slow_path
from attnprof.locate import PACKAGE
from attnprof.usercode import causality_seen
from attnprof.words import Pass
from tests.fakes.public_classes import CLASSES, PublicClass
from tests.fakes.saved_hooks import saved_by_hooks
from tests.fakes.whole_models import MODELS
from tests.unit.counting.allocator import measured_peak

TABLE = PACKAGE.parent / "docs" / "modules.md"
ROW = re.compile(r"^\| `(.+?)` \| (.+?) \| (.+?) \|$", flags=re.MULTILINE)
EVERY = (*CLASSES, *MODELS)
HEADINGS = {"Attention classes and layers": CLASSES, "Models and blocks": MODELS}
HEAD = "| what is typed after the command | causality | what `check` finds |\n|---|---|---|"
N, GRAPH_N = 64, 32
PEAK_OFF = 0.01
PEAK_OFF_UNKNOWN = 0.2  # where a kernel's workspace is flagged as unknown: a convolution's copies in its backward
NUMBERS = (16, 32, 48, 64)  # bytes: Python's numbers, which torch keeps as tensors, are not counted
PASSES = (Pass.FORWARD, Pass.TRAIN)


def command(name: str, public: PublicClass, folder: str = "RUN") -> str:
    """The command line of a row, and what keeps it short here."""
    causal = " --causal" if public.causal else ""
    here = {
        "cost": f"--lengths {N} --no-forms --no-cache --json",
        "check": f"--n {N} --time 1{causal} --json",
        "graph": f"--n {GRAPH_N} --trials 1 --no-page --out {folder}/graph --json",
        "sweep": f"--lengths {N} --device cpu --rounds 1 --time 1s --no-page --out {folder}/sweep --json",
    }[name]
    return f"{name} {public.told} {here}"


@dataclass(frozen=True)
class RowFound:
    """What the commands answered of a row, and what does not agree with an oracle."""

    causality: str
    kinds: tuple[str, ...]
    wrong: tuple[str, ...]

    def text(self, public: PublicClass) -> str:
        """The row of the document."""
        return f"| `{public.told}` | {self.causality} | {', '.join(self.kinds) or 'nothing'} |"


def answer(line: str) -> tuple[int, Any]:
    """The exit code and the JSON of a command line, run in this process."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            main(shlex.split(line))
        except SystemExit as ended:
            text = out.getvalue()
            return int(ended.code or 0), json.loads(text) if text.strip() else err.getvalue()
    raise AssertionError("no exit")


def looked_at(public: PublicClass) -> RowFound:
    """A row through the four commands."""
    wrong: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        answers = {name: answer(command(name, public, folder)) for name in ("cost", "check", "graph", "sweep")}
    allowed = {"cost": (0,), "check": (0, 4), "graph": (0,), "sweep": (0,)}
    wrong += [f"{name} ends with {code}: {said}" for name, (code, said) in answers.items() if code not in allowed[name]]
    if wrong:
        return RowFound("", (), tuple(wrong))
    table = {row["pass"]: row for row in answers["cost"][1]["table"]}
    seen = causality_seen(table["forward"]["flags"])
    wrong += _against_oracles(public, table)
    edges = answers["graph"][1]["edges"]
    if public.causal and edges != GRAPH_N * (GRAPH_N + 1) // 2:
        wrong.append(f"graph: {edges} edges of a causal module at n = {GRAPH_N}")
    kinds = sorted({finding["kind"] for finding in answers["check"][1]["findings"]})
    causality = {True: "causal", False: "bidirectional", None: "unknown"}[seen]
    return RowFound(causality, tuple(kinds), tuple(wrong))


def _against_oracles(public: PublicClass, table: dict[str, Any]) -> list[str]:
    """FLOPs, saved bytes and peaks of the table, each held against a real run's."""
    target, shape = public.target(), public.shape(N)
    build, inputs = partial(target.build, shape), partial(target.inputs, shape)
    wrong = []
    module, given = build().eval(), inputs()
    with slow_path(), sdpa_kernel(SDPBackend.MATH), torch.no_grad(), FlopCounterMode(display=False) as counter:
        module(*given)
    ours, theirs = table["forward"]["flops_executed"], counter.get_total_flops()
    if not ours == theirs > 0:
        wrong.append(f"FLOPs: {ours:,} counted, {theirs:,} of FlopCounterMode")
    saved, held = table["train"]["saved_bytes"], saved_by_hooks(build().train(), inputs())
    if saved != held and held - saved not in NUMBERS:
        wrong.append(f"saved: {saved:,} B counted, {held:,} by hooks")
    for pass_ in PASSES:
        with slow_path():
            real = measured_peak(build().train(pass_ is Pass.TRAIN), inputs(), pass_)
        row = table[pass_.value]
        off, most = row["peak_bytes"] / real - 1, PEAK_OFF_UNKNOWN if "workspace_unknown" in row["flags"] else PEAK_OFF
        if abs(off) > most:
            wrong.append(f"{pass_.value} peak: {row['peak_bytes']:,} B counted, {real:,} of the allocator, {off:+.1%}")
    return wrong


def installed(public: PublicClass) -> bool:
    """Whether its package is there."""
    return importlib.util.find_spec(public.package) is not None


def write(found: dict[str, RowFound]) -> None:
    """Put the rows into the document, those of classes and of models; a row that was not looked at stays as it is."""
    known = {told: f"| `{told}` | {causality} | {kinds} |" for told, causality, kinds in ROW.findall(TABLE.read_text())}
    text = TABLE.read_text()
    for heading, group in HEADINGS.items():
        rows = [found[it.told].text(it) if it.told in found else known.get(it.told) for it in group]
        before, after = text.split(f"\n## {heading}\n")
        following = "".join(f"\n## {rest}" for rest in after.split("\n## ")[1:])
        text = f"{before}\n## {heading}\n\n{HEAD}\n" + "\n".join(filter(None, rows)) + f"\n{following}"
    TABLE.write_text(text)


def run(words: list[str]) -> int:
    """Look at rows, say what is wrong in each, and write the document if asked to."""
    part, of = (map(int, words.pop(words.index("--part") + 1).split("/"))) if "--part" in words else (0, 1)
    asked = [word for word in words if not word.startswith("--")]
    chosen = [it for it in EVERY[part::of] if installed(it) and (not asked or any(w in it.told for w in asked))]
    found = {}
    for public in chosen:
        try:
            found[public.told] = looked_at(public)
        except Exception:
            found[public.told] = RowFound("", (), (traceback.format_exc(limit=-2),))
        row = found[public.told]
        print(row.text(public), *(f"    WRONG {each}" for each in row.wrong), sep="\n", flush=True)
    if "--write" in words:
        write({told: row for told, row in found.items() if not row.wrong})
    return sum(bool(row.wrong) for row in found.values())


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
