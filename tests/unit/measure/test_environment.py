import json
import subprocess
from pathlib import Path

from attnprof.device import device_named
from attnprof.device.instruments.nvml import nvml_sensors
from attnprof.measure import environment as env
from tests.fakes.device import ScriptedDevice
from tests.fakes.nvml import FakeNvml


def test_the_environment_is_plain_json_and_names_the_machine() -> None:
    found = env.environment(device_named("cpu"))
    assert json.loads(json.dumps(found)) == found
    assert found["packages"]["torch"]
    assert found["packages"]["numpy"]
    assert found["cores_usable"] >= 1
    assert found["threads"] >= 1
    assert found["accelerator"] is None


def test_variables_that_change_a_measurement_are_recorded_without_folders() -> None:
    given = {"HOME": "/home/me", "MALLOC_ARENA_MAX": "1", "LD_PRELOAD": "/home/me/libjemalloc.so:/opt/x.so"}
    assert env.settings(given) == {"LD_PRELOAD": "libjemalloc.so x.so", "MALLOC_ARENA_MAX": "1"}


def test_an_accelerator_is_identified_with_its_power_before_anything_runs() -> None:
    found = env.environment(ScriptedDevice(readings=nvml_sensors(FakeNvml(), "aa11")))
    assert found["accelerator"]["name"] == "Imaginary 100"
    assert found["accelerator"]["power_w"] == 71.5


def test_a_machine_is_busy_when_more_than_our_threads_run() -> None:
    assert env.crowded(2, cores=2, busy=2.4) == {}
    assert env.crowded(2, cores=2, busy=5.7) == {
        "busy_machine": "5.7 processes ran on 2 cores, of which 2 were to be ours"
    }


def _commit(folder: Path) -> None:
    identity = ("-c", "user.name=a", "-c", "user.email=a@b")
    for arguments in (("init", "-q"), ("add", "f"), (*identity, "commit", "-q", "-m", "first")):
        subprocess.run(("git", "-C", str(folder), *arguments), check=True)


def test_git_says_which_commit_and_whether_it_was_changed(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("1")
    assert env.git_state(tmp_path) is None
    _commit(tmp_path)
    clean = env.git_state(tmp_path)
    assert clean is not None
    assert len(clean["commit"]) == 40
    assert not clean["modified"]
    (tmp_path / "f").write_text("2")
    changed = env.git_state(tmp_path)
    assert changed is not None
    assert changed["modified"]


def test_without_git_there_is_no_state(tmp_path: Path) -> None:
    def missing(*_: object, **__: object) -> None:
        raise FileNotFoundError("git")

    assert env.git_state(tmp_path, run=missing) is None
