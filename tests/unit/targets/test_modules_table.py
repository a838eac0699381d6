"""`docs/modules.md` has one row for each public class and model: a command line that all four commands answer.

One is run here; the rest with `pytest -m slow`. The commands and the oracles stand in `tests/bench/modules_table.py`.
"""

from __future__ import annotations

import pytest

from tests.bench.modules_table import EVERY, ROW, TABLE, installed, looked_at
from tests.fakes.public_classes import CLASSES, PublicClass
from tests.fakes.whole_models import MODELS

pytestmark = pytest.mark.skipif(not TABLE.exists(), reason="not run from a checkout")
QUICK = "torch.nn:TransformerDecoderLayer"


def rows() -> dict[str, str]:
    return {name: f"| `{name}` | {causality} | {found} |" for name, causality, found in ROW.findall(TABLE.read_text())}


def test_the_table_has_every_class_and_model() -> None:
    known = rows()
    assert list(known) == [public.told for public in EVERY]
    for public in EVERY:
        assert f"| {'causal' if public.causal else 'bidirectional'} |" in known[public.told]
    assert len(CLASSES) >= 40
    assert len(MODELS) >= 15
    assert f"{len(EVERY)} public classes and models" in (TABLE.parents[1] / "README.md").read_text()


@pytest.mark.parametrize(
    "public",
    [pytest.param(it, id=it.told, marks=[] if it.text == QUICK else [pytest.mark.slow]) for it in EVERY],
)
def test_a_row_is_what_its_command_lines_answer(public: PublicClass) -> None:
    if not installed(public):
        pytest.skip(f"{public.package} is not installed")
    found = looked_at(public)
    assert found.wrong == ()
    assert rows()[public.told] == found.text(public)
