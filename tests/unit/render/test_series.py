from dataclasses import replace

from attnprof.interval import Interval
from attnprof.quantities import FLOPS, PEAK, SAVED, WALL
from attnprof.records import Cost, Measured, Point, Record
from attnprof.render.series import groups, latest
from attnprof.shapes import Shape
from tests.fakes.records import SCHEMES, records


def made(target: str, n: int, *, key: str = "", impl: str | None = None, layers: int = 1, **shape: object) -> Record:
    params = {"window": shape.pop("window")} if "window" in shape else {}
    point = Point(target, Shape(n=n, **shape), "forward", "cpu", impl, layers, params)  # type: ignore[arg-type]
    cost = Cost(flops_executed=100, saved_bytes=60, peak_bytes=90)
    measured = Measured(wall_s=Interval(2.0, 1.0, 4.0))
    return Record("cost", key or f"{target}{n}{impl}{shape}{params}", point, cost, measured)


def test_a_group_holds_only_points_that_may_be_compared() -> None:
    for group in groups(records()):
        kinds = {(r.point.pass_, r.point.shape.causal, r.point.shape.dtype, r.point.device) for r in group.records}
        assert len(kinds) == 1
    assert len(groups(records())) == 4


def test_dtype_level_width_and_batch_each_separate_groups() -> None:
    base = made("a", 1024)
    others = [
        made("a", 1024, **{k: v}) for k, v in {"dtype": "float64", "level": "core", "dim": 256, "batch": 2}.items()
    ]
    assert len(groups([base, *others])) == 5


def test_a_batch_that_follows_n_is_one_group_of_fixed_tokens() -> None:
    (group,) = groups([made(t, n, batch=8192 // n) for t in ("a", "b") for n in (1024, 2048, 4096)])
    assert group.conditions.tokens == 8192
    assert group.conditions.batch is None


def test_the_last_record_of_a_point_wins() -> None:
    old, new = made("a", 1024, key="old"), made("a", 1024, key="new")
    assert [r.key for r in latest([old, new])] == ["new"]


def test_implementations_and_parameters_that_differ_at_equal_n_are_series_of_their_own() -> None:
    (group,) = groups([made("a", 64, impl="masked"), made("a", 64, impl="gather"), made("b", 64)])
    assert [s.label for s in group.series] == ["a · gather", "a · masked", "b"]
    (group,) = groups([made("a", 64, window=w) for w in (8, 16)])
    assert [s.label for s in group.series] == ["a (window=16)", "a (window=8)"]


def test_parameters_that_follow_n_are_one_series() -> None:
    (group,) = groups([made("a", n, window=n // 32) for n in (64, 256)])
    assert [s.label for s in group.series] == ["a"]


def test_what_adds_up_is_divided_by_layers_and_a_peak_never_is() -> None:
    record = made("a", 64, layers=2)
    assert FLOPS.read(record).value == 50  # type: ignore[union-attr]
    assert SAVED.read(record).value == 30  # type: ignore[union-attr]
    wall = WALL.read(record)
    assert wall is not None
    assert (wall.value, wall.low, wall.high) == (1.0, 0.5, 2.0)
    assert PEAK.read(record).value == 90  # type: ignore[union-attr]


def test_a_peak_that_no_device_confirmed_is_predicted() -> None:
    record = replace(made("a", 64), measured=Measured(peak_bytes=77))
    assert PEAK.read(record) is not None
    assert not PEAK.read(record).predicted  # type: ignore[union-attr]
    assert PEAK.read(replace(record, measured=None)).predicted  # type: ignore[union-attr]


def test_baselines_come_first_and_every_scheme_is_there() -> None:
    for group in groups(records()):
        assert [s.label for s in group.series][:2] == ["dense", "flash"]
        assert len(group.series) == len(SCHEMES)
