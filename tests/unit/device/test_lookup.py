import pytest

from attnprof import device
from attnprof.device import Device, Presence, available, best_device, device_named, devices
from attnprof.errors import AttnprofError
from attnprof.locate import PACKAGE
from attnprof.words import DeviceName
from tests.fakes.accelerator import FakeAccelerator
from tests.fakes.device import ScriptedDevice

HERE, ABSENT = Presence(("X",)), Presence((), "there is none", "buy one")


def test_every_file_is_a_device_and_a_word() -> None:
    files = {file.stem for file in (PACKAGE / "device").glob("[a-z]*.py")}
    assert files | {"auto", "none"} == set(DeviceName.values())
    for found in devices():
        assert isinstance(found, Device)
        assert found.name in files
    assert {found.name for found in devices()} == files


def test_a_fake_is_a_device() -> None:
    assert isinstance(ScriptedDevice(), Device)


def have(monkeypatch: pytest.MonkeyPatch, found: Presence) -> None:
    fake = ScriptedDevice(found=found, allocator=FakeAccelerator(), name=DeviceName("cuda"))
    real = device_named
    monkeypatch.setattr(device, "device_named", lambda name: fake if name == "cuda" else real(name))


def test_auto_is_the_accelerator_if_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    have(monkeypatch, HERE)
    assert best_device() == available(DeviceName.AUTO) == "cuda"
    have(monkeypatch, ABSENT)
    assert best_device() is DeviceName.CPU


def test_a_device_that_is_not_there_is_refused_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    have(monkeypatch, ABSENT)
    with pytest.raises(AttnprofError, match="--device cuda: there is none"):
        available(DeviceName("cuda"))
    assert available(DeviceName.NONE) is DeviceName.NONE


def test_nothing_runs_on_none() -> None:
    with pytest.raises(AttnprofError, match="nothing runs on"):
        device_named("none")
