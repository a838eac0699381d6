"""What tests compare with is pinned, and a card names as its oracle only a package that a test of it runs."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from attnprof.targets import catalog

TESTS = Path(__file__).parents[2]
ORACLES = Path(__file__).parent
NAMED = re.compile(r"(?:importorskip|PublicClass)\(\s*\"(\w+)")
CALLED = {"yaml": "pyyaml", "fla": "fla_core", "PIL": "pillow"}  # modules that are not named as their package


def packages(requirements: list[str]) -> set[str]:
    """The names in some lines of requirements, as modules are written."""
    return {re.split(r"[^\w-]", line, maxsplit=1)[0].replace("-", "_").lower() for line in requirements if line}


def plain(text: str) -> str:
    """Without what tells the name of an entry from that of a class: `switch`, `SwitchTransformers`."""
    return text.replace("_", "").lower()


def pinned() -> set[str]:
    """Those of oracles.txt."""
    lines = (TESTS.parent / "oracles.txt").read_text(encoding="utf-8").splitlines()
    given = [line for line in lines if not line.startswith("#")]
    assert all("==" in line for line in given)
    return packages(given)


def test_every_package_that_a_test_imports_is_pinned_or_depended_on() -> None:
    project = tomllib.loads((TESTS.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needed = project["dependencies"] + [line for extra in project["optional-dependencies"].values() for line in extra]
    text = "".join(path.read_text(encoding="utf-8") for path in TESTS.rglob("*.py"))
    used = {CALLED.get(name, name).lower() for name in NAMED.findall(text)}
    aside = {"pillow"}  # it comes with matplotlib
    assert used - aside <= packages(needed) | pinned()
    assert len(used) > 10


def test_a_card_names_no_package_that_no_test_compares_it_with() -> None:
    texts = [path.read_text(encoding="utf-8") for path in ORACLES.glob("test_*.py")]
    known = {name.replace("fla_core", "fla") for name in pinned()}
    named = {name: re.split(r"\W", catalog.card(name).oracle)[0] for name in catalog.names()}
    claimed = {name: package for name, package in named.items() if package in known or "_pytorch" in package}
    unmet = {
        name: package
        for name, package in claimed.items()
        if not any(re.search(rf"\b{package}\b", text) and plain(name) in plain(text) for text in texts)
    }
    assert not unmet
    assert len(claimed) > 30
