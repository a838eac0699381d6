"""From what was asked to points and keys."""

from __future__ import annotations

from pathlib import Path

import pytest

from attnprof.errors import AttnprofError
from attnprof.shapes import Shape
from attnprof.sweeps.points import SweepRequest, plan, settings_of
from attnprof.targets import catalog


def ask(**changes: object) -> SweepRequest:
    """One target at one length, changed as asked."""
    return SweepRequest(**{"lengths": (1024,), "targets": ("longformer",), **changes})  # type: ignore[arg-type]


def test_without_targets_every_scheme_with_maths_is_planned() -> None:
    names = {job.target for job in plan(ask(targets=()))}
    assert {"dense", "flash", "sliding_window", "longformer", "bigbird", "sparse_strided", "linformer"} <= names


def test_causal_unset_is_the_native_setting() -> None:
    jobs = plan(ask(targets=("longformer", "sparse_strided")))
    assert [job.points[0].point.shape.causal for job in jobs] == [False, True]


def test_a_baseline_is_planned_for_every_setting_that_it_is_compared_in() -> None:
    jobs = {job.target: job for job in plan(ask(targets=("dense", "longformer", "sparse_strided")))}
    assert {p.point.shape.causal for p in jobs["dense"].points} == {False, True}
    assert {p.point.shape.causal for p in jobs["longformer"].points} == {False}
    asked = plan(ask(targets=("dense", "sparse_strided"), causal=True))
    assert {p.point.shape.causal for job in asked for p in job.points} == {True}


def test_what_has_both_forms_is_planned_in_both_when_asked() -> None:
    named = ("dense", "sliding_window", "longformer", "sparse_strided", "linformer")
    jobs = {job.target: job for job in plan(ask(targets=named, both_masks=True, passes=("forward", "decode")))}
    assert all(len({p.key for p in job.points}) == len(job.points) for job in jobs.values())
    for name, job in jobs.items():
        found = {p.point.shape.causal for p in job.points if p.point.pass_ == "forward"}
        assert found == set(catalog.entry(name).card.causality), name
        assert [p.point.shape.causal for p in job.points if p.point.pass_ == "decode"] == [True]
    assert {p.point.shape.causal for p in jobs["longformer"].points} == {False, True}
    for causal in (True, False):
        with pytest.raises(AttnprofError, match="contradict each other"):
            ask(both_masks=True, causal=causal)


def test_parameters_that_are_functions_of_n_are_resolved() -> None:
    (job,) = plan(ask(targets=("sparse_strided",), lengths=(1024, 4096)))
    assert [p.point.params["stride"] for p in job.points if p.point.pass_ == "forward"] == [32, 64]


def test_the_batch_follows_the_tokens() -> None:
    (job,) = plan(ask(lengths=(1024, 4096), tokens=8192))
    assert [p.point.shape.batch for p in job.points if p.point.pass_ == "forward"] == [8, 2]


def test_keys_name_points_and_the_sources_behind_them(tmp_path: Path) -> None:
    own = tmp_path / "mine.py"
    own.write_text("from attnprof.pattern import Band\ndef pattern(n, *, width=4): return Band(width)\n")
    first = plan(ask(targets=(str(own),)))[0]
    assert first.points[0].key == plan(ask(targets=(str(own),)))[0].points[0].key
    assert len({p.key for p in first.points}) == len(first.points)
    own.write_text("from attnprof.pattern import Band\ndef pattern(n, *, width=4): return Band(width, 1)\n")
    catalog.load.cache_clear()
    assert first.points[0].key != plan(ask(targets=(str(own),)))[0].points[0].key


def test_a_preset_sets_parameters_by_length_and_yields_to_what_is_given() -> None:
    jobs = plan(ask(lengths=(1024, 2048, 4096), preset="by-length"))
    windows = {p.point.shape.n: p.point.params["window"] for job in jobs for p in job.points}
    assert windows == {1024: 128, 2048: 128, 4096: 512}
    (job,) = plan(
        ask(lengths=(1024, 4096), preset="by-length", settings={"longformer": {"window": 64, "global_tokens": 2}})
    )
    assert {p.point.params["window"] for p in job.points} == {64}


def test_settings_reach_their_target() -> None:
    (job,) = plan(ask(settings={"longformer": {"window": 64}}))
    assert job.points[0].point.params["window"] == 64


@pytest.mark.parametrize(
    ("texts", "targets", "expected"),
    [
        (["window=64"], ["longformer"], {"longformer": {"window": 64}}),
        (["a.x=1", "b.x=2"], ["a", "b"], {"a": {"x": 1}, "b": {"x": 2}}),
        (["mine.x=1.5"], ["dir/mine.py", "b"], {"mine": {"x": 1.5}}),
        (["x=1"], ["dir/mine.py"], {"mine": {"x": 1}}),
    ],
)
def test_settings_are_read(texts: list[str], targets: list[str], expected: dict[str, object]) -> None:
    assert settings_of(texts, targets) == expected


@pytest.mark.parametrize(
    ("changes", "message", "hint"),
    [
        ({"targets": ("longformr",)}, "unknown scheme 'longformr'", "longformer"),
        ({"settings": {"longformer": {"windw": 3}}}, "unknown parameter of longformer 'windw'", "window"),
        ({"settings": {"flash": {"x": 3}}}, "'flash', which is not a target", "longformer"),
        ({"passes": ("backward",)}, "unknown pass 'backward'", "train"),
        ({"impl": "gathr"}, "unknown implementation 'gathr'", "gather"),
        ({"shape": Shape(n=1, dim=512, heads=7)}, "7 heads do not divide the width 512", "4 and 8"),
        ({"shape": Shape(n=1, heads=8, kv_heads=3)}, "3 KV heads do not divide 8", "1, 2, 4, 8"),
        ({"shape": Shape(n=1, batch=0)}, "batch is 0", "--batch"),
        ({"targets": ("nowhere.py",)}, "no such file", "attnprof list"),
    ],
)
def test_what_cannot_be_used_is_refused_before_a_process_starts(
    changes: dict[str, object], message: str, hint: str
) -> None:
    with pytest.raises(AttnprofError) as error:
        plan(ask(**changes))
    assert message in error.value.message
    assert hint in error.value.hint


def test_a_pattern_file_with_a_mistake_names_the_line(tmp_path: Path) -> None:
    own = tmp_path / "broken.py"
    own.write_text("from attnprof.pattern import Band\n\nBand(oops)\n")
    with pytest.raises(AttnprofError, match=r"line 3, does not run: NameError"):
        plan(ask(targets=(str(own),)))
