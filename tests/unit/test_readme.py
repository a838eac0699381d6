"""What the README shows is true."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from attnprof.cli.main import COMMANDS, main
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


MODULES = """
from torch import nn
from torch.nn.functional import scaled_dot_product_attention as sdpa


class MyAttention(nn.Module):
    def __init__(self, dim=64, window=None, length=None):
        super().__init__()
        self.qkv = nn.Linear(dim, 3 * dim)

    def forward(self, x):
        q, k, v = self.qkv(x).chunk(3, -1)
        return sdpa(q, k, v, is_causal=True)


class Attention(MyAttention):
    pass


class Crossed(MyAttention):
    def forward(self, x, gadget):
        return (super().forward(x) + gadget, gadget)


class Mixer(nn.Module):
    def __init__(self, dim=64, length=None):
        super().__init__()
        self.mix = nn.Conv1d(dim, dim, 3, padding=1)

    def forward(self, x):
        return self.mix(x.transpose(1, 2)).transpose(1, 2)


class Local(MyAttention):
    def forward(self, x):
        from torch import arange

        i = arange(x.shape[1])
        near = (i[:, None] - i).abs() <= 256
        q, k, v = self.qkv(x).chunk(3, -1)
        return sdpa(q, k, v, attn_mask=near)
"""
SMALLER = {
    "cost": ("--lengths", "64", "--no-forms", "--pass", "forward"),
    "sweep": ("--lengths", "64", "--device", "none", "--no-page"),
    "graph": ("--n", "32", "--no-page"),
    "check": ("--n", "32", "--dim", "64"),
}


def commands_of_modules() -> list[str]:
    """The commands of the README that name a user's own code or a public class."""
    lines = re.findall(r"^ {4}attnprof (.*?)(?: +#.*)?$", README.read_text(), flags=re.MULTILINE)
    return [
        line
        for line in lines
        if (":" in line and ".py" in line) or (":" in line and "torch.nn" in line) or "transformers" in line
    ]


@pytest.mark.parametrize("line", commands_of_modules())
def test_every_way_to_make_and_call_a_module_runs(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = shlex.split(line)
    if "transformers" in line:
        pytest.importorskip("transformers")
    for name in ("model.py", "a.py", "b.py"):
        (tmp_path / name).write_text(MODULES)
    (tmp_path / "llama.json").write_text('{"intermediate_size": 64, "vocab_size": 100, "hidden_size": 64}')
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main([*words, *SMALLER[words[0]]])
    assert ended.value.code == 0


def test_every_command_shown_exists() -> None:
    shown = set(re.findall(r"^ {4}attnprof (\w+)", README.read_text(), flags=re.MULTILINE))
    assert shown <= {command.name for command in COMMANDS}
    assert {"sweep", "graph", "report"} <= shown
