from pathlib import Path
from typing import Any

import pytest

from attnprof.device import Device
from attnprof.device.cuda import UNKNOWN_CACHE_BYTES, Cuda
from attnprof.device.instruments.clock import AcceleratorClock
from attnprof.device.instruments.sensors import NullSensors
from tests.fakes.amd_smi import AmdSmiException, FakeAmdSmi
from tests.fakes.clock import FakeDevice
from tests.fakes.nvml import FakeNvml, NVMLError
from tests.fakes.torch_cuda import FakeTorch

TWO = FakeNvml(["GPU-aa11", "GPU-bb22"])
NO_DRIVER = FakeNvml(nvmlInit=NVMLError("NVML Shared Library Not Found"))
BUILDS = {"CUDA": "libtorch_cuda.so", "ROCm": "libtorch_hip.so", "CUDA on Windows": "torch_cuda.dll"}


def cuda(folder: Path, build: str = "CUDA", **more: Any) -> Cuda:
    """The device on a machine whose torch has the library of a build (none for `nothing`), with no AMD device."""
    (folder / "lib").mkdir(exist_ok=True)
    if build in BUILDS:
        (folder / "lib" / BUILDS[build]).write_text("")
    return Cuda(**{"nvml": FakeNvml(), "amd": (), "environ": {}, "torch_folder": folder, **more})


def test_it_is_a_device(tmp_path: Path) -> None:
    assert isinstance(cuda(tmp_path), Device)


VISIBLE = {None: 2, "": 0, "-1": 0, "0": 1, "1,0": 2, "0,7,1": 1, "GPU-bb22": 1, "MIG-9": 1}


@pytest.mark.parametrize(("listed", "count"), VISIBLE.items(), ids=[repr(v) for v in VISIBLE])
def test_the_environment_hides_devices(tmp_path: Path, listed: str | None, count: int) -> None:
    environ = {} if listed is None else {"CUDA_VISIBLE_DEVICES": listed}
    assert cuda(tmp_path, nvml=TWO, environ=environ).presence().names == ("Imaginary 100",) * count


@pytest.mark.parametrize("build", BUILDS)
def test_what_torch_was_built_for_is_seen_without_importing_it(tmp_path: Path, build: str) -> None:
    assert cuda(tmp_path, build).build() == build.split()[0]


def test_a_torch_without_cuda_cannot_use_the_device_that_is_there(tmp_path: Path) -> None:
    found = cuda(tmp_path, "nothing").presence()
    assert found.names == ("Imaginary 100",)
    assert found.missing == "Imaginary 100 is there, but this torch has no CUDA"
    assert "CUDA build" in found.fix


def test_without_a_driver_there_is_no_device(tmp_path: Path) -> None:
    found = cuda(tmp_path, nvml=NO_DRIVER).presence()
    assert (found.names, found.missing) == ((), "no CUDA device is visible")
    assert "nvidia-smi" in found.fix


def test_amds_devices_are_accelerators_to_a_torch_built_for_them(tmp_path: Path) -> None:
    found = cuda(tmp_path, "ROCm", nvml=NO_DRIVER, amd=("AMD gfx942",) * 8).presence()
    assert (found.names, found.missing) == (("AMD gfx942",) * 8, "")


def test_a_torch_built_for_another_maker_cannot_use_them(tmp_path: Path) -> None:
    found = cuda(tmp_path, "CUDA", nvml=NO_DRIVER, amd=("AMD gfx942",)).presence()
    assert found.missing == "AMD gfx942 is there, but this torch has no ROCm"


def test_nvidias_devices_are_none_to_a_torch_built_for_amd(tmp_path: Path) -> None:
    assert cuda(tmp_path, "ROCm").presence().missing == "Imaginary 100 is there, but this torch has no CUDA"
    found = cuda(tmp_path, "ROCm", nvml=NO_DRIVER).presence()
    assert found.missing == "no ROCm device is visible"
    assert "rocm-smi" in found.fix


def test_amds_environment_hides_devices_twice(tmp_path: Path) -> None:
    environ = {"ROCR_VISIBLE_DEVICES": "1,2,3", "HIP_VISIBLE_DEVICES": "0,2,9"}
    found = cuda(tmp_path, "ROCm", nvml=NO_DRIVER, amd=("AMD gfx942",) * 8, environ=environ).presence()
    assert len(found.names) == 2


@pytest.mark.parametrize(
    ("l2_bytes", "size"), [(50 * 2**20, 100 * 2**20), (0, 2 * UNKNOWN_CACHE_BYTES)], ids=["h100", "unknown"]
)
def test_the_cache_is_cleared_before_each_sample_and_not_timed(tmp_path: Path, l2_bytes: int, size: int) -> None:
    device = FakeDevice()
    fake = FakeTorch(device, L2_cache_size=l2_bytes)
    flush = cuda(tmp_path, torch=fake).flush()
    assert flush is not None
    assert fake.size == size
    clock = AcceleratorClock(device.new_event, device.synchronize)
    flush()
    assert clock.laps([lambda: device.work(0.002)]) == pytest.approx((0.002,))
    assert device.log == ["flush", "event", "work", "event"]


def test_what_torch_holds_unused_on_a_device_is_free(tmp_path: Path) -> None:
    assert cuda(tmp_path, torch=FakeTorch()).free_bytes() == 1300


def test_the_software_of_a_build_is_named(tmp_path: Path) -> None:
    assert cuda(tmp_path, torch=FakeTorch()).software() == {"cuda": "13.0", "cudnn": 91000}
    assert cuda(tmp_path, torch=FakeTorch(hip="7.1")).software() == {"cuda": None, "cudnn": 91000, "hip": "7.1"}


def sensors(folder: Path, uuids: list[str], uuid: str, where: str = "cuda", visible: str | None = None) -> Any:
    environ = {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}
    return cuda(folder, where=where, nvml=FakeNvml(uuids), torch=FakeTorch(uuid=uuid), environ=environ).sensors()


def test_a_device_is_found_by_uuid_whatever_its_index(tmp_path: Path) -> None:
    uuids = ["GPU-aa11", "GPU-bb22", "GPU-cc33"]
    assert sensors(tmp_path, uuids, "cc33").handle == "GPU-cc33"
    assert sensors(tmp_path, uuids, "aa11", "cuda:1", visible="2,0").handle == "GPU-aa11"
    assert sensors(tmp_path, uuids, "", "cuda:1", visible="GPU-cc,GPU-bb").handle == "GPU-bb22"
    assert sensors(tmp_path, uuids, "", "cuda:0", visible="MIG-77").handle == "MIG-77"


AMD = {"pci_domain_id": 0, "pci_bus_id": 0xC1, "pci_device_id": 0}


def test_amds_sensors_are_those_at_the_address_of_the_device(tmp_path: Path) -> None:
    smi = FakeAmdSmi("0000:05:00.0", "0000:C1:00.0")
    found: Any = cuda(tmp_path, "ROCm", smi=smi, torch=FakeTorch(hip="7.1", **AMD)).sensors()
    assert found.handle == "0000:C1:00.0"
    assert found.identity()["name"] == "Imaginary 300X"


def test_a_torch_that_does_not_tell_the_address_has_no_sensors(tmp_path: Path) -> None:
    found = cuda(tmp_path, "ROCm", smi=FakeAmdSmi(), torch=FakeTorch(hip="7.1")).sensors()
    assert "does not tell" in found.reasons["energy_j"]


@pytest.mark.parametrize(
    ("smi", "why"),
    [
        (FakeAmdSmi("0000:05:00.0"), "AMD SMI knows no device at 0000:c1:00.0"),
        (FakeAmdSmi(init=AmdSmiException("driver not loaded")), "AMD SMI: driver not loaded"),
        (None, "AMD SMI cannot be loaded: No module named 'amdsmi'"),
    ],
    ids=["unknown", "no driver", "not installed"],
)
def test_without_amds_library_there_are_no_sensors_but_a_reason(tmp_path: Path, smi: Any, why: str) -> None:
    found = cuda(tmp_path, "ROCm", smi=smi, torch=FakeTorch(hip="7.1", **AMD)).sensors()
    assert isinstance(found, NullSensors)
    assert found.reasons["energy_j"] == why
