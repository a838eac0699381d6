"""What the README shows is true."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from attnprof.cli.main import COMMANDS
from attnprof.locate import PACKAGE
from attnprof.shapes import Shape
from attnprof.targets import door

README = PACKAGE.parent / "README.md"
pytestmark = pytest.mark.skipif(not README.exists(), reason="not run from a checkout")


def blocks() -> list[str]:
    """The Python code of the README."""
    return re.findall(r"```python\n(.*?)```", README.read_text(), flags=re.DOTALL)


def test_the_own_pattern_is_one(tmp_path: Path) -> None:
    own = tmp_path / "my_pattern.py"
    own.write_text(next(block for block in blocks() if "def pattern" in block))
    target = door.find(str(own), params={"window": 16})
    pattern = target.pattern(Shape(n=300))
    assert pattern is not None
    assert pattern.dense()[150, [142, 150, 158, 22, 278]].all()


def test_the_python_examples_run(capsys: pytest.CaptureFixture[str]) -> None:
    examples = [block for block in blocks() if "import attnprof\n" in block]
    assert examples
    for example in examples:
        exec(compile(example, str(README), "exec"), {})
    assert capsys.readouterr().out


def test_every_command_shown_exists() -> None:
    shown = set(re.findall(r"^ {4}attnprof (\w+)", README.read_text(), flags=re.MULTILINE))
    assert shown <= {command.name for command in COMMANDS}
    assert {"sweep", "graph", "report"} <= shown
