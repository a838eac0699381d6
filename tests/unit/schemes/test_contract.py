"""What a scheme's file may define is one contract: a part that is nearly called right is an error, not nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from attnprof.contracts import Scheme
from attnprof.errors import AttnprofError
from attnprof.locate import PACKAGE
from attnprof.schemes import MATHS, PARTS, of_module, scheme
from attnprof.targets import catalog
from attnprof.userfiles import run_file

TOY = """
from torch import nn


class Core(nn.Module):
    def __init__(self, spec):
        super().__init__()


def flops_core(spec):
    return 2 * spec.shape.n


def a_helper_of_its_own(spec):
    return 1
"""
NAMES = sorted(file.stem for file in (PACKAGE / "schemes").glob("[!_]*.py"))


def toy(folder: Path, more: str = "", text: str = TOY) -> Scheme:
    path = folder / "toy.py"
    path.write_text(text + more)
    return of_module(run_file(path))


@pytest.mark.parametrize("name", NAMES)
def test_what_is_read_without_torch_is_what_the_file_defines(name: str) -> None:
    found = scheme(name)
    assert found.name == name
    assert catalog.facts(name, catalog.card(name)).written == tuple(found.written)


def test_a_core_and_its_closed_form_are_eager(tmp_path: Path) -> None:
    found = toy(tmp_path)
    assert list(found.written) == ["eager"]
    assert found.written["eager"].flops_core is not None
    assert (found.layer, found.projections, found.streams, found.stacked) == (None, None, None, None)


@pytest.mark.parametrize(
    ("name", "part"),
    [("flop_core", "flops_core"), ("flopsCore", "flops_core"), ("stream", "streams"), ("input", "inputs"),
     ("stack", "stacked"), ("layer", "Layer"), ("projections", "Projections"), ("feed_forward", "FeedForward")],
)  # fmt: skip
def test_a_part_that_is_misspelt_is_an_error_that_names_it(tmp_path: Path, name: str, part: str) -> None:
    with pytest.raises(AttnprofError, match=f"defines '{name}'") as refused:
        toy(tmp_path, f"\n\ndef {name}(spec):\n    return None\n")
    assert f"did you mean {part}?" in refused.value.hint


def test_a_helper_with_an_underscore_may_be_called_anything(tmp_path: Path) -> None:
    assert toy(tmp_path, "\n\ndef _stream(spec):\n    return None\n").streams is None


def test_a_file_without_a_core_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AttnprofError, match="defines no Core"):
        toy(tmp_path, text="def streams(spec):\n    return ()\n")


def test_every_part_has_its_place() -> None:
    fields = {name for name in Scheme.__dataclass_fields__ if name not in ("name", "written")}
    assert set(PARTS.values()) == fields
    assert not set(MATHS) & set(PARTS)
