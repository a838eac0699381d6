from dataclasses import replace

from attnprof.records import Record
from attnprof.render.claims import Claim, findings
from attnprof.render.series import groups
from tests.fakes.records import SCHEMES, Fake, graph, records


def found(kind: str, made: list[Record] | None = None, graphs: list[Record] | None = None) -> list[Claim]:
    return [f for f in findings(groups(made or records()), graphs or []) if f.kind == kind]


def test_crossings_come_first_wall_time_before_memory_and_flops() -> None:
    keys = [f.facts["metric"].key for f in found("crossing")]
    assert keys == ["wall_s", "peak_bytes", "flops_executed"]
    assert findings(groups(records()))[0].kind == "crossing"


def test_every_compared_scheme_is_told_of_once_under_every_condition() -> None:
    for finding in found("crossing"):
        for case in finding.facts["cases"]:
            labels = [v.label for kind in case["kinds"].values() for v in kind]
            assert len(labels) == len(set(labels))
            assert not {"dense", "flash"} & set(labels)


def test_cases_that_say_the_same_are_merged() -> None:
    flops = found("crossing")[2].facts["cases"]
    assert [len(case["where"]) for case in flops] == [2, 2]


def test_a_masked_scheme_is_sparse_in_name_only() -> None:
    (finding,) = found("in_name_only")
    facts = {s["label"]: s["ratio"] for s in finding.facts["schemes"]}
    assert facts["sparse_strided"] == 256.0
    assert "bigbird" not in facts
    assert finding.facts["judged"] == 4


def test_nothing_is_sparse_in_name_only_where_nothing_is() -> None:
    (finding,) = found("in_name_only", records((SCHEMES[0], SCHEMES[4])))
    assert finding.facts["schemes"] == []
    assert finding.facts["judged"] == 1


def test_what_does_not_fit_is_told_with_its_need() -> None:
    (finding,) = found("fits")
    dense = finding.facts["cases"][0]["stopped"][0]
    assert (dense["label"], dense["fits"], dense["n"]) == ("dense", 8192, 16384)
    assert dense["need"] == 17_381_195_776


def test_quadratic_growth_that_edges_do_not_explain_is_found() -> None:
    clean = Fake("clean", lambda n: n * 64, lambda n: n * 64, "gather")
    gated = Fake("gated", lambda n: n * 64, lambda n: n * 64 + n * n / 4, "gather")
    (finding,) = found("hidden", records((clean, gated)))
    assert {s["label"] for s in finding.facts["schemes"]} == {"gated"}
    core = next(s for s in finding.facts["schemes"] if s["metric"].key == "flops_core_executed")
    assert core["exponent"] > 1.9
    assert not found("hidden", records((clean,)))


def test_a_counter_that_misses_fused_attention_is_named() -> None:
    (finding,) = found("opinion")
    assert finding.facts["tool"] == "fvcore"
    assert [s["label"] for s in finding.facts["off"]] == ["flash"]
    assert finding.facts["off"][0]["share"] < 0.05


def test_what_was_not_measured_is_counted_by_status_with_a_reason() -> None:
    made = records()
    (finding,) = found("unmeasured", made)
    counts = {s["status"]: s["count"] for s in finding.facts["statuses"]}
    assert counts["unsupported"] == sum(r.status == "unsupported" for r in made) == 42
    assert all(s["reason"] for s in finding.facts["statuses"])


def test_a_static_sweep_says_that_nothing_was_run() -> None:
    static = [replace(r, measured=None, status="ok", reasons={}) for r in records() if r.status == "ok"]
    (finding,) = found("unmeasured", static)
    assert finding.facts["static"] == len(static)


def test_reach_is_told_where_graph_records_know_it() -> None:
    (finding,) = found("reach", graphs=[graph("a", layers=3), graph("b", layers=None), graph("c", layers=1)])
    assert [s["label"] for s in finding.facts["schemes"]] == ["c", "a"]


def test_reach_tells_what_its_layers_cost_where_the_same_length_was_costed() -> None:
    (finding,) = found("reach", graphs=[graph("bigbird", n=4096, layers=3), graph("bigbird", n=1000, layers=2)])
    flops = {s["n"]: s["flops"] for s in finding.facts["schemes"]}
    one = next(r for r in records() if r.point.target == "bigbird" and r.point.shape.n == 4096 and r.cost)
    assert one.cost is not None
    assert flops == {4096: 3 * (one.cost.flops_executed or 0), 1000: None}
