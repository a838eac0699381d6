import pytest

from attnprof.quantities import FLOPS, WALL
from attnprof.records import Cost, Interval, Measured, Record
from attnprof.render.series import Group, groups
from attnprof.render.verdicts import against, verdict
from tests.unit.render.test_series import made

NS = (1024, 2048, 4096, 8192)


def curve(target: str, flops: tuple[int, ...], wall: tuple[float, ...] = (), width: float = 0.01) -> list[Record]:
    found = []
    for k, value in enumerate(flops):
        record = made(target, NS[k])
        time = Interval(wall[k], wall[k] * (1 - width), wall[k] * (1 + width)) if wall else None
        cost, measured = Cost(flops_executed=value), Measured(wall_s=time)
        found.append(Record("cost", record.key, record.point, cost, measured))
    return found


def group(*curves: list[Record]) -> Group:
    (found,) = groups([r for c in curves for r in c])
    return found


@pytest.mark.parametrize(
    ("ours", "kind"),
    [
        ((1, 2, 4, 8), "always"),
        ((90, 180, 360, 720), "from"),
        ((400, 2000, 9000, 40000), "never"),
        ((10, 100, 900, 9000), "until"),
        ((16, 64, 256, 1024), "same"),
    ],
)
def test_the_kind_of_a_comparison(ours: tuple[int, ...], kind: str) -> None:
    found = group(curve("dense", (16, 64, 256, 1024)), curve("a", ours))
    result = verdict(found.series[1], found.series[0], FLOPS)
    assert result is not None
    assert result.kind == kind
    assert result.gain == pytest.approx(1024 / ours[-1])


def test_a_crossing_lies_in_its_bracket() -> None:
    found = group(curve("dense", (16, 64, 256, 1024)), curve("a", (90, 180, 360, 720)))
    result = verdict(found.series[1], found.series[0], FLOPS)
    assert result is not None
    assert result.crossing is not None
    assert (result.crossing.low, result.crossing.high) == (4096, 8192)
    assert 4096 < result.crossing.n < 8192


def test_overlapping_intervals_leave_the_upper_end_open() -> None:
    base = curve("dense", (1, 1, 1, 1), (1.0, 2.0, 4.0, 8.0), width=0.5)
    ours = curve("a", (1, 1, 1, 1), (2.0, 3.0, 4.4, 7.0), width=0.5)
    found = group(base, ours)
    result = verdict(found.series[1], found.series[0], WALL)
    assert result is not None
    assert result.kind == "from"
    assert result.crossing is not None
    assert result.crossing.high is None


def test_one_length_in_common_is_not_compared() -> None:
    found = group(curve("dense", (16,)), curve("a", (1, 2, 3, 4)))
    assert verdict(found.series[1], found.series[0], FLOPS) is None


def test_the_cheaper_baseline_is_the_one_to_beat_and_noise_does_not_choose_it() -> None:
    cheap = group(curve("dense", (16, 64)), curve("flash", (32, 128)))
    assert against(cheap, FLOPS).label == "dense"  # type: ignore[union-attr]
    close = group(curve("dense", (100, 100)), curve("flash", (101, 102)))
    assert against(close, FLOPS).label == "flash"  # type: ignore[union-attr]
    assert against(group(curve("a", (1, 2))), FLOPS) is None
