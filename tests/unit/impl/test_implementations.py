"""An implementation is one file: a toy one in a folder of its own is listed, counted, gated and swept by its path."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from attnprof.counting import count
from attnprof.errors import AttnprofError, Unsupported
from attnprof.impl import implementation, names
from attnprof.locate import PACKAGE
from attnprof.measure.gate import check
from attnprof.records import Point
from attnprof.shapes import Shape
from attnprof.store import RunFolder
from attnprof.targets import catalog, door, sources
from attnprof.words import Impl, Level, Pass
from tests.cli.console import attnprof

TOY = '''
from attnprof.contracts import Implementation


class Toy(Implementation):
    """Every score of every pair, masked: n * n products, whatever the pattern."""

    name = "toy"

    def can(self, scheme, shape, device):
        return None if scheme.of_edges else "it takes patterns alone"

    def build(self, spec):
        from torch import nn

        from attnprof.layers.edge_softmax import softmax_over_edges
        from attnprof.layers.masked_softmax import pattern_mask
        from attnprof.layers.softmax import softmax_attention

        class Plain(nn.Module):
            def __init__(self):
                super().__init__()
                self.register_buffer("mask", pattern_mask(spec)[0])

            def forward(self, q, k, v):
                return softmax_attention(q, k, v * FACTOR, self.mask)

            def reference(self, q, k, v):
                return softmax_over_edges(spec, q, k, v)

        return Plain()

    def executed(self, spec):
        return 4 * spec.shape.batch * spec.shape.heads * spec.shape.n**2 * spec.shape.d


FACTOR = 1
IMPLEMENTATION = Toy()
'''
SHAPE = Shape(40, batch=2, dim=32, heads=4)


@pytest.fixture
def toy(tmp_path: Path) -> str:
    path = tmp_path / "toy.py"
    path.write_text(TOY)
    return str(path)


def test_every_file_of_the_room_is_one(tmp_path: Path) -> None:
    files = {file.stem for file in (PACKAGE / "impl").glob("[!_]*.py")}
    assert set(names()) == files == set(Impl.values())
    assert {implementation(name).name for name in names()} == files


def test_a_toy_is_counted_and_states_what_it_executes(toy: str) -> None:
    target = door.find("sliding_window", params={"window": 6}, impl=toy)
    core = SHAPE.replace(level=Level.CORE)
    by_hand = 4 * 2 * 4 * 40 * 40 * 8
    assert count(target, core, Pass.FORWARD).cost.flops_core_executed == by_hand == target.flops_core(core)


def test_a_toy_is_gated(toy: str) -> None:
    target = door.find("bigbird", params={"block": 8}, impl=toy)
    assert check(target, SHAPE, Pass.TRAIN) == {}
    Path(toy).with_name("wrong.py").write_text(TOY.replace("FACTOR = 1", "FACTOR = 2"))
    wrong = door.find("bigbird", params={"block": 8}, impl=str(Path(toy).with_name("wrong.py")))
    assert set(check(wrong, SHAPE, Pass.TRAIN)) == {"gate_forward"}


def test_a_toy_is_listed_and_costed(toy: str) -> None:
    run = attnprof("list", "--json", "--impl", toy)
    listed = {scheme["name"] for scheme in run.data["schemes"]}
    assert "sinks" in listed
    assert not {"dense", "reformer"} & listed
    found = attnprof("cost", "sinks", "--lengths", "64", "--impl", toy, "--json").data
    assert found["point"]["impl"] == toy


def test_a_toy_is_swept(toy: str, tmp_path: Path) -> None:
    out = tmp_path / "run"
    sizes = "--lengths 64 --pass forward --dim 32 --heads 4"
    line = f"sweep sinks {sizes} --impl {toy} --out {out} --time-budget 1 --rounds 1"
    run = attnprof(*line.split())
    assert run.code == 0, run.err
    (record,) = [record for record in RunFolder.open(out).records() if record.kind == "cost"]
    assert (record.point.impl, record.status) == (toy, "ok")
    assert record.measured is not None


def test_what_it_cannot_compute_is_refused_with_what_can(toy: str) -> None:
    with pytest.raises(Unsupported, match="cannot compute dense: it takes patterns alone") as refused:
        door.find("dense", impl=toy)
    assert "eager" in refused.value.hint


def test_another_source_is_another_key(toy: str) -> None:
    before = sources.source_hash(door.find("sinks", impl=toy))
    Path(toy).write_text(TOY + "\n# another\n")
    assert sources.source_hash(door.find("sinks", impl=toy)) != before


def test_a_file_without_one_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "none.py").write_text("class Toy:\n    name = 'toy'\n\n\nIMPLEMENTATION = Toy()\n")
    with pytest.raises(AttnprofError, match="defines no implementation"):
        door.find("sinks", impl=str(tmp_path / "none.py"))
    with pytest.raises(AttnprofError, match="no such file"):
        door.find("sinks", impl=str(tmp_path / "nowhere.py"))


def test_the_old_option_is_still_taken_and_not_shown() -> None:
    line = ("cost", "sinks", "--lengths", "64", "--json")
    by_old, by_new = (attnprof(*line, option, "masked").data for option in ("--runner", "--impl"))
    assert by_old == by_new
    assert by_new["point"]["impl"] == "masked"
    assert "--runner" not in attnprof("cost", "--help").out


def test_of_several_targets_those_that_cannot_are_computed_as_usual_and_say_so() -> None:
    run = attnprof("sweep", "dense", "sinks", "--lengths", "64", "--impl", "masked", "--dry-run", "--json")
    impls = {each["target"]: each["impl"] for each in run.data["points"]}
    assert impls == {"dense": "eager", "sinks": "masked"}


def test_what_is_compiled_is_what_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("dense", "sliding_window", "longformer"):
        plain, compiled = door.find(name), door.find(name, impl="compile")
        core = SHAPE.replace(level=Level.CORE)
        for pass_ in (Pass.FORWARD, Pass.TRAIN):
            figures = [count(target, core, pass_).cost for target in (plain, compiled)]
            assert figures[0].flops_core_executed == figures[1].flops_core_executed
        assert compiled.flops_core(core) == plain.flops_core(core)
    monkeypatch.setenv("CXX", "")
    monkeypatch.setattr("shutil.which", lambda name: None)
    assert "no C++ compiler" in (catalog.cannot("dense", catalog.card("dense"), "compile") or "")


def test_compiled_it_passes_the_gate() -> None:
    assert check(door.find("dense", impl="compile"), SHAPE, Pass.FORWARD) == {}


def test_dense_by_sdpa_is_flash() -> None:
    shape = SHAPE.replace(level=Level.CORE, causal=True)
    by_name, by_impl = door.find("flash"), door.find("dense", impl="sdpa")
    assert (by_name.impl, by_impl.impl) == ("sdpa", "sdpa")
    for pass_ in Pass:
        assert count(by_name, shape, pass_).cost == count(by_impl, shape, pass_).cost


def test_an_entry_that_stands_for_one_way_takes_no_other() -> None:
    with pytest.raises(Unsupported, match="the entry stands for dense by sdpa or flash_attn"):
        door.find("flash", impl="eager")


def test_a_record_names_what_computed_it() -> None:
    data = json.loads(json.dumps(Point("sinks", Shape(64), impl="gather").to_json()))
    assert data["impl"] == "gather"
    assert Point.from_json(data).impl == "gather"
