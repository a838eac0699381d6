"""attnprof works from a checkout, an editable install, and a wheel used elsewhere."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from attnprof.locate import PACKAGE

CHECKOUT = PACKAGE.parent
ASK = """
from attnprof.targets.catalog import names
from attnprof.locate import shipped
print(len(names()), shipped("reports"))
"""
LEFT_OUT = (".git", ".venv", "attnprof-runs", "build", "*.egg-info")

pytestmark = pytest.mark.skipif(not (CHECKOUT / "pyproject.toml").exists(), reason="not run from a checkout")


def asked(cwd: Path, path: Path | None = None) -> tuple[int, Path]:
    """How many schemes a fresh Python sees from `cwd`, and where it finds the reports."""
    env = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    if path is not None:
        env["PYTHONPATH"] = str(path)
    run = subprocess.run([sys.executable, "-c", ASK], cwd=cwd, env=env, capture_output=True, text=True, check=True)
    count, reports = run.stdout.split()
    return int(count), Path(reports)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel of the checkout, unpacked; built from a copy, so that the checkout stays clean."""
    import shutil

    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    shutil.copytree(CHECKOUT, source, ignore=shutil.ignore_patterns(*LEFT_OUT))
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(source)]
    subprocess.run(build, check=True, capture_output=True)
    zipfile.ZipFile(next(folder.glob("*.whl"))).extractall(folder / "site")
    return folder / "site"


def test_a_wheel_used_in_another_directory_has_everything(wheel: Path, tmp_path: Path) -> None:
    here, _ = asked(CHECKOUT)
    count, reports = asked(tmp_path, wheel)
    assert count == here
    assert reports == wheel / "attnprof" / "_reports"
    published = CHECKOUT / "reports" / "reference"
    files = [p for p in (CHECKOUT / "reports").rglob("*") if p.is_file() and not p.is_relative_to(published)]
    shipped = {p.relative_to(CHECKOUT / "reports") for p in files}
    assert {
        p.relative_to(reports) for p in reports.rglob("*") if p.is_file() and "__pycache__" not in p.parts
    } == shipped


def test_a_wheel_carries_its_licence(wheel: Path) -> None:
    carried = list(wheel.glob("attnprof-*.dist-info/licenses/LICENSE"))
    assert [file.read_text() for file in carried] == [(CHECKOUT / "LICENSE").read_text()]


def test_the_version_stands_once_and_is_quoted_right() -> None:
    version = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]["version"]
    assert f"version: {version}\n" in (CHECKOUT / "CITATION.cff").read_text()
    assert f"Version {version}" in (CHECKOUT / "reports" / "bib" / "attnprof.bib").read_text()


def test_an_editable_install_works_from_any_directory(tmp_path: Path) -> None:
    try:
        count, reports = asked(tmp_path)
    except subprocess.CalledProcessError:
        pytest.skip("attnprof is not installed in this environment, only on the path")
    assert count == len(list((CHECKOUT / "patterns").glob("[!_]*.py")))
    assert reports in (CHECKOUT / "reports", PACKAGE / "_reports")


def test_a_checkout_works_without_being_installed(tmp_path: Path) -> None:
    count, reports = asked(tmp_path, CHECKOUT)
    assert (count, reports) == (len(list((CHECKOUT / "patterns").glob("[!_]*.py"))), CHECKOUT / "reports")
