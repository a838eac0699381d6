from pathlib import Path

import pytest
from attnprof.measure.devices import accelerators, built_for_cuda, device_names

from tests.fakes.nvml import FakeNvml, NVMLError


@pytest.fixture
def torch_folder(tmp_path: Path) -> Path:
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "libtorch_cuda.so").write_text("")
    return tmp_path


VISIBLE = {None: 2, "": 0, "-1": 0, "0": 1, "1,0": 2, "0,7,1": 1, "GPU-bb22": 1, "MIG-9": 1}


@pytest.mark.parametrize(("listed", "count"), VISIBLE.items(), ids=[repr(v) for v in VISIBLE])
def test_the_environment_hides_devices(torch_folder: Path, listed: str | None, count: int) -> None:
    environ = {} if listed is None else {"CUDA_VISIBLE_DEVICES": listed}
    nvml = FakeNvml(["GPU-aa11", "GPU-bb22"])
    assert accelerators(nvml=nvml, environ=environ, torch_folder=torch_folder) == ("Imaginary 100",) * count


def test_a_torch_without_cuda_has_no_accelerator(tmp_path: Path) -> None:
    assert not built_for_cuda(tmp_path)
    assert accelerators(nvml=FakeNvml(), environ={}, torch_folder=tmp_path) == ()
    assert device_names(nvml=FakeNvml(), environ={}) == ("Imaginary 100",)


def test_without_a_driver_there_is_no_device(torch_folder: Path) -> None:
    nvml = FakeNvml(nvmlInit=NVMLError("NVML Shared Library Not Found"))
    assert accelerators(nvml=nvml, environ={}, torch_folder=torch_folder) == ()
