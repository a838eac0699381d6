"""Every planted defect is named, with its place; sound modules are not accused; the report has a plain form."""

from __future__ import annotations

import json

import pytest

from attnprof.checks import CheckRequest, Examination, examine
from attnprof.contracts import Target
from attnprof.records import plain
from attnprof.shapes import Shape
from attnprof.targets import door
from attnprof.words import Severity
from tests.fakes.planted import DEFECTS, Planted
from tests.fakes.planted_more import MORE_DEFECTS
from tests.fakes.sound import SOUND, Sound
from tests.fakes.sound_more import MORE_SOUND

SHAPE = Shape(64, dim=32, heads=2)


def examined(text: str, asked: dict[str, object]) -> Examination:
    against: Target | None = None
    if "against" in asked:
        against = door.target(asked["against"], window=asked["window"])
    ask = CheckRequest(bool(asked.get("causal")), against, asked.get("claim"))  # type: ignore[arg-type]
    return examine(door.find(text), SHAPE, ask)


@pytest.mark.parametrize(
    "planted", [*DEFECTS, *MORE_DEFECTS], ids=lambda it: f"{it.name}-{it.kind}-{'-'.join(it.asked)}"
)
def test_a_planted_defect_is_named(planted: Planted) -> None:
    found = examined(f"{planted.file}:{planted.name}", planted.asked)
    of_kind = [finding for finding in found.findings if finding.kind == planted.kind]
    assert of_kind, found
    assert planted.where in of_kind[0].where
    assert of_kind[0].severity is not Severity.NOTE
    assert of_kind[0].evidence
    assert of_kind[0].advice
    assert json.loads(json.dumps(plain(found.to_json())))["sound"] is not bool(found.defects)


@pytest.mark.parametrize("sound", [*SOUND, *MORE_SOUND], ids=lambda it: it.text.rpartition("/")[2])
def test_a_sound_module_is_not_accused(sound: Sound) -> None:
    found = examined(sound.text, sound.asked)
    assert found.defects == ()
    assert len(found.passed) >= 6
    assert found.verdict.startswith("causal") or not sound.asked.get("causal")


def test_there_are_enough_of_both() -> None:
    assert len(DEFECTS) >= 16
    assert len(SOUND) >= 16
    assert len({planted.kind for planted in DEFECTS}) >= 16
