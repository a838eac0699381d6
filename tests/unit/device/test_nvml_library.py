"""The sensors through the real binding, against a library built here: what a Python fake would not show."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SOURCE = Path(__file__).parents[2] / "fakes" / "nvml.c"
READ = """
import json
import pynvml
from attnprof.device.instruments.nvml import nvml_sensors
device = nvml_sensors(pynvml, "c0ffee")
found = {name: getattr(device, name)() for name in ("energy_j", "power_w", "clock_mhz", "throttle", "processes")}
print(json.dumps({**found, "identity": dict(device.identity()), "reasons": dict(device.reasons)}))
"""

pytestmark = pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc")


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("nvml")
    subprocess.run(("gcc", "-shared", "-fPIC", "-o", str(folder / "libnvidia-ml.so.1"), str(SOURCE)), check=True)
    return folder


def read(library: Path, **environ: str) -> dict[str, Any]:
    whole = {**os.environ, "LD_LIBRARY_PATH": str(library), **environ}
    done = subprocess.run((sys.executable, "-c", READ), env=whole, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_readings_through_the_real_binding(library: Path) -> None:
    found = read(library, ENERGY_MJ="12500")
    assert found["energy_j"] == 12.5
    assert (found["power_w"], found["clock_mhz"]) == (71.5, 1755.0)
    assert found["throttle"] == ["SwPowerCap"]
    assert found["identity"]["name"] == "Imaginary 100"
    assert found["identity"]["uuid"] == "GPU-c0ffee"


def test_what_the_library_lacks_is_none_with_a_reason(library: Path) -> None:
    found = read(library)
    assert found["energy_j"] is None
    assert found["reasons"]["energy_j"] == "NVML: Not Supported"
    assert found["processes"] is None
    assert found["identity"]["mig"] is None
    assert {"processes", "mig"} <= set(found["reasons"])
