"""A user's file runs as `python FILE` runs it: with what lies beside it, and no helper of another folder's."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest
import torch

import attnprof
from attnprof.shapes import Shape
from attnprof.targets import door, sources
from attnprof.userfiles import import_module, imported_by, run_file, version_of

MODULE = """
from torch import nn
from helper import WIDTH

class Wide(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.grow = nn.Linear(dim, WIDTH, bias=False)

    def forward(self, x):
        return self.grow(x)
"""


def project(folder: Path, width: int) -> Path:
    """A folder with a module in one file that takes its width from another."""
    folder.mkdir()
    (folder / "helper.py").write_text(f"WIDTH = {width}\n")
    (folder / "wide.py").write_text(MODULE)
    return folder / "wide.py"


def test_what_lies_beside_a_file_is_imported_and_never_another_folders(tmp_path: Path) -> None:
    for name, width in (("one", 8), ("two", 32), ("three", 16)):
        file = project(tmp_path / name, width)
        counted = attnprof.count(f"{file}:Wide", n=64, dim=16)
        assert counted.cost.flops_executed == 2 * 64 * 16 * width


def test_the_key_of_a_record_holds_the_files_that_a_file_imports(tmp_path: Path) -> None:
    file = project(tmp_path / "one", 8)
    assert [path.name for path in imported_by(file).files] == ["wide.py", "helper.py"]
    before = sources.source_hash(door.find(f"{file}:Wide"))
    (tmp_path / "one" / "helper.py").write_text("WIDTH = 9\n")
    assert sources.source_hash(door.find(f"{file}:Wide")) != before


def installed(site: Path, name: str, version: str) -> None:
    """A package in a folder that pip installs into."""
    (site / name).mkdir(parents=True, exist_ok=True)
    (site / name / "__init__.py").write_text("WIDTH = 8\n")
    about = site / f"{name}_of-{version}.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}-of\nVersion: {version}\n")
    (about / "top_level.txt").write_text(f"{name}\n")


def test_the_key_holds_versions_of_packages_that_are_imported_and_of_no_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One package is imported by a module beside, inside of a function; the other by nobody."""
    file, site = project(tmp_path / "one", 8), tmp_path / "site-packages"
    (tmp_path / "one" / "helper.py").write_text("WIDTH = 8\n\ndef late():\n    from widths_used import WIDTH\n")
    for name in ("widths_used", "widths_unused"):
        installed(site, name, "1.0")
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setattr(sources, "_version", version_of)
    assert imported_by(file).packages == ("torch", "widths_used")
    before = sources.source_hash(door.find(f"{file}:Wide"))
    for name, differs in (("widths_unused", False), ("widths_used", True)):
        (site / f"{name}_of-1.0.dist-info").rename(site / f"{name}_of-1.1.dist-info")
        about = site / f"{name}_of-1.1.dist-info" / "METADATA"
        about.write_text(about.read_text().replace("1.0", "1.1"))
        assert (sources.source_hash(door.find(f"{file}:Wide")) != before) is differs, name


def test_the_key_holds_projects_on_the_path_and_what_computes_a_scheme(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, other = project(tmp_path / "one", 8), tmp_path / "elsewhere"
    (other / "ownwidths").mkdir(parents=True)
    (other / "ownwidths" / "__init__.py").write_text("")
    (other / "ownwidths" / "deep.py").write_text("from ownwidths import more\nWIDTH = 8\n")
    (other / "ownwidths" / "more.py").write_text("import numpy.linalg, queue\n")
    (tmp_path / "one" / "helper.py").write_text("from ownwidths.deep import WIDTH\n")
    monkeypatch.syspath_prepend(str(other))
    found = imported_by(file)
    assert {path.name for path in found.files} == {"wide.py", "helper.py", "__init__.py", "deep.py", "more.py"}
    assert found.packages == ("numpy", "torch")
    stack = door.find("2 sliding_window + 1 dense impl=sdpa")
    assert {"sliding_window.py", "dense.py", "sdpa.py"} <= {Path(path).name for path in stack.files}


def test_a_package_is_found_in_the_current_folder_and_its_relative_imports_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "ownpackage"
    project(package, 8)
    (package / "__init__.py").write_text("")
    (package / "wide.py").write_text(MODULE.replace("from helper", "from .helper"))
    monkeypatch.chdir(tmp_path)
    assert attnprof.count("ownpackage.wide:Wide", n=64, dim=16).cost.flops_executed == 2 * 64 * 16 * 8
    assert {path.name for path in imported_by(package / "wide.py").files} == {"wide.py", "helper.py", "__init__.py"}


def test_a_package_that_fails_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "brokenpackage.py").write_text("1 / 0\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(attnprof.AttnprofError, match="brokenpackage does not import: ZeroDivisionError"):
        import_module("brokenpackage")


def test_a_file_that_fails_names_its_line(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("a = 1\nb = a.c\n")
    with pytest.raises(attnprof.AttnprofError, match="line 2, does not run: AttributeError"):
        run_file(tmp_path / "broken.py")


LAZY = """
import importlib
from torch import nn

class Wide(nn.Module):
    def forward(self, x):
        from lazy_helper import WIDTH
        return x * WIDTH * importlib.import_module("lazy_package.inner").HALF
"""


def test_a_neighbour_is_found_by_code_beside_it_alone(tmp_path: Path) -> None:
    """Also when a function imports it later; a file named like an optional package of ours is not taken for it."""
    (tmp_path / "lazy_package").mkdir()
    for name, text in {
        "lazy.py": LAZY,
        "lazy_helper.py": "import lazy_second\nWIDTH = 2.0\n",
        "lazy_second.py": "",
        "lazy_package/__init__.py": "",
        "lazy_package/inner.py": "HALF = 0.5\n",
        "amdsmi.py": "raise SystemExit('a file of the user')\n",
    }.items():
        (tmp_path / name).write_text(text)
    before = list(sys.path)
    module = run_file(tmp_path / "lazy.py").Wide()
    assert float(module(torch.ones(1))) == 1.0
    assert sys.path == before
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("amdsmi")
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("lazy_third")


MASKS = """
from attnprof.pattern import Band

def past(b, h, q, k):
    return q >= k

def both(b, h, q, k):
    return (q - k) * (q - k) <= 64

def pattern(n, *, width=4):
    return Band(width, 0)
"""


def test_a_pattern_without_a_causal_form_of_its_own_is_labelled_as_it_looks(tmp_path: Path) -> None:
    (tmp_path / "masks.py").write_text(MASKS)
    file = tmp_path / "masks.py"
    natives = [door.find(text).card.native_causal for text in (f"{file}:past", f"{file}:both", str(file))]
    assert natives == [True, False, True]
    forms = [door.find(text).card.causality for text in (f"{file}:past", f"{file}:both")]
    assert forms == [(True,), (False,)], "a form that its edges do not have is claimed"
    with pytest.raises(attnprof.AttnprofError, match="past has no bidirectional form"):
        door.find(f"{file}:past").build(Shape(64, causal=False))
    with pytest.raises(attnprof.AttnprofError, match="both reads the future"):
        door.find(f"{file}:both").build(Shape(64, causal=True))


def test_a_file_with_one_thing_to_profile_needs_no_name_for_it(tmp_path: Path) -> None:
    (tmp_path / "one.py").write_text("def past(b, h, q, k):\n    return q >= k\n")
    assert door.find(str(tmp_path / "one.py")).name == "past"
    (tmp_path / "two.py").write_text("def past(b, h, q, k):\n    return q >= k\n\nclass Other:\n    pass\n")
    with pytest.raises(attnprof.AttnprofError, match=r"two.py:past, .*two.py:Other"):
        door.find(str(tmp_path / "two.py"))
