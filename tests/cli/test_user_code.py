"""A user's own code on the command line: counted, measured at every length, refused in one line, never a traceback."""

from __future__ import annotations

from pathlib import Path

import pytest

from attnprof.store import RunFolder
from tests.cli.console import Outcome, here

FAKES = Path(__file__).parents[1] / "fakes"
OWN = FAKES / "user_code.py"
SMALL = ("--dim", "64", "--heads", "4")
ENCODER = ("torch.nn:TransformerEncoderLayer", "--arg", "d_model=64", "--arg", "nhead=4")


def refused(done: Outcome, message: str, hint: str) -> None:
    assert done.code == 1
    assert "Traceback" not in done.err
    assert any(line.startswith("error: ") for line in done.err.splitlines())
    assert message in done.err
    assert hint in done.err


def test_a_module_is_gated_and_measured_at_every_length(tmp_path: Path) -> None:
    out = tmp_path / "run"
    done = here(
        "sweep",
        f"{OWN}:Plain",
        "--lengths",
        "64,128,256",
        "--rounds",
        "1",
        "--time-budget",
        "0.1",
        "--out",
        out,
        *SMALL,
    )
    assert done.code == 0, done.err
    records = [r for r in RunFolder.open(out).records() if r.kind == "cost"]
    records.sort(key=lambda r: (r.point.shape.n, r.point.pass_))
    assert [(r.point.shape.n, r.point.pass_, r.status) for r in records] == [
        (n, pass_, "ok") for n in (64, 128, 256) for pass_ in ("forward", "train")
    ]
    assert all(r.measured and r.measured.wall_s and r.measured.peak_bytes for r in records)
    assert {r.point.label("causal") for r in records} == {False}  # as the probe saw
    assert {r.point.label("level") for r in records} == {None}
    page = (out / "report.html").read_text()
    assert "whose level is not known" in page


def test_one_target_that_breaks_does_not_end_a_sweep(tmp_path: Path) -> None:
    out = tmp_path / "run"
    texts = (f"{OWN}:Breaks", f"{OWN}:Item")
    done = here("sweep", *texts, "--lengths", "64", "--device", "none", "--out", out, *SMALL)
    assert done.code == 3, done.err
    statuses = {(r.point.target, r.status) for r in RunFolder.open(out).records()}
    assert statuses == {("Breaks", "failed"), ("Item", "ok")}


@pytest.mark.parametrize(
    "asked",
    [
        ("cost", "--lengths", "64", "--no-forms"),
        ("audit", "-n", "64"),
        ("limit", "--memory", "1GiB"),
        ("graph", "--n", "16", "--no-page"),
    ],
    ids=lambda asked: asked[0],
)
def test_code_that_raises_is_one_line(asked: tuple[str, ...], tmp_path: Path) -> None:
    command, *rest = asked
    done = here(command, f"{OWN}:Breaks", *rest, *SMALL, cwd=tmp_path)
    refused(done, "ValueError: no luck today", "it was called as forward(x=[1,")


def test_a_cost_tells_what_was_seen(tmp_path: Path) -> None:
    done = here("cost", *ENCODER, "--dim", "64", "--lengths", "64", "--no-forms", cwd=tmp_path)
    assert done.code == 0, done.err
    assert "level unknown, bidirectional as probed" in done.out
    assert "h=4 g=unknown" in done.out
    assert "called as forward(src=[1, n, 64])" in done.out
    assert "given so" in done.out
    told = here("cost", f"{OWN}:Item", "--lengths", "64", "--json", *SMALL, cwd=tmp_path).data
    assert {row["method"] for row in told["table"]} == {"dispatch on real tensors"}
    assert told["point"]["causal"] is None
    assert told["closed_forms"]["forward"]["flops_executed"] is None


@pytest.mark.parametrize(
    ("asked", "flag"),
    [
        (("cost", "--lengths", "64"), ("--causal",)),
        (("audit", "-n", "64"), ("--kv-heads", "2")),
        (("limit", "--memory", "1GiB"), ("--level", "core")),
        (("sweep", "--device", "none", "--lengths", "64"), ("--kv-heads", "2")),
    ],
    ids=lambda asked: asked[0],
)
def test_a_flag_that_binds_to_nothing_is_refused(asked: tuple[str, ...], flag: tuple[str, ...], tmp_path: Path) -> None:
    command, *rest = asked
    done = here(command, *ENCODER, *rest, *flag, cwd=tmp_path)
    refused(done, f"{flag[0]} binds to nothing in torch.nn:TransformerEncoderLayer", "d_model, nhead")


def test_a_layout_can_be_said(tmp_path: Path) -> None:
    unsaid = here("cost", f"{OWN}:talking", "--lengths", "64", *SMALL, cwd=tmp_path)
    refused(unsaid, "layout is not known", "--layout bhnd or --layout bnhd")
    said = here("cost", f"{OWN}:talking", "--layout", "bhnd", "--lengths", "64", "--no-forms", *SMALL, cwd=tmp_path)
    assert said.code == 0, said.err
    wrong = here("cost", f"{OWN}:talking", "--layout", "bnd", "--lengths", "64", *SMALL, cwd=tmp_path)
    refused(wrong, "which do not lie as bnd", "--layout bhnd or bnhd")


def test_a_config_and_a_call_are_said_and_shown(tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    config.write_text('{"n_embd": 64}')
    made = ("--config", config, "--config-arg", "n_head=4", "--call", "m(x)")
    done = here("cost", f"{OWN}:Configured", *made, "--lengths", "64", "--no-forms", cwd=tmp_path)
    assert done.code == 0, done.err
    assert "called as m(x) with x = [1, n, 64]" in done.out
    assert "D=64 h=4" in done.out


def test_arguments_of_one_target_leave_the_others(tmp_path: Path) -> None:
    out = tmp_path / "run"
    own = ("--arg", "Configured.layer_idx=3", "--device", "none", "--lengths", "64", "--out", out, "--no-page")
    done = here("sweep", f"{OWN}:Plain", f"{OWN}:Configured", *own, *SMALL)
    assert done.code == 0, done.err
    points = [record.point for record in RunFolder.open(out).records()]
    assert {(point.target, point.call) for point in points} == {
        ("Plain", "forward(x=[1, n, 64])"),
        ("Configured", "forward(x=[1, n, 64])"),
    }
    assert {str(dict(point.params)) for point in points} == {"{}", "{'layer_idx': 3}"}
    stranger = here("cost", f"{OWN}:Plain", "--arg", "Item.heads=2")
    refused(stranger, "--arg Item.heads is of no target here", "--arg Plain.heads=VALUE")
    refused(here("cost", "dense", "--call", "m(x)"), "dense is no code of yours", "--set NAME.PARAM=VALUE")
