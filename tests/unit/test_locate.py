from pathlib import Path

import pytest

from attnprof import locate
from attnprof.errors import AttnprofError


def test_a_checkout_finds_the_folders_beside_the_package() -> None:
    assert locate.shipped("reports") == locate.PACKAGE.parent / "reports"
    assert locate.shipped("patterns") == locate.PACKAGE.parent / "patterns"


def test_the_copy_inside_an_installed_package_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "attnprof"
    (package / "_reports").mkdir(parents=True)
    (tmp_path / "reports").mkdir()
    monkeypatch.setattr(locate, "PACKAGE", package)
    assert locate.shipped("reports") == package / "_reports"


def test_a_missing_folder_is_named_with_both_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locate, "PACKAGE", tmp_path / "attnprof")
    with pytest.raises(AttnprofError) as caught:
        locate.shipped("reports")
    assert "_reports" in str(caught.value)
    assert "reinstall" in caught.value.hint
