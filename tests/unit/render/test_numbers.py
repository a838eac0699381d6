import pytest

from attnprof.render import numbers


@pytest.mark.parametrize(
    ("made", "text"),
    [
        (numbers.quantity(51_540_000_000, "flops"), "51.5 GFLOP"),
        (numbers.quantity(3 * 2**20, "bytes"), "3.00 MiB"),
        (numbers.quantity(0.00312, "s"), "3.12 ms"),
        (numbers.quantity(0.0031, "j"), "3.10 mJ"),
        (numbers.interval(0.0014, 0.00148, "s"), "1.40–1.48 ms"),
        (numbers.interval(0.0009, 0.0012, "s"), "900 µs – 1.20 ms"),
        (numbers.span([4096, 1024]), "1k–4k"),
        (numbers.span([1000]), "1000"),
        (numbers.power(1.0), "1.00"),
        (numbers.power(-0.001), "0.00"),
        (numbers.ratio(2.5), "2.5×"),
        (numbers.ratio(1030.4), "1,030×"),
        (numbers.percent(0.0), "0%"),
        (numbers.percent(0.0154), "1.5%"),
        (numbers.percent(1.04), "104%"),
        (numbers.around(5320.0), "5.2k"),
        (numbers.around(184.0), "180"),
        (numbers.around(200_000.0), "200k"),
    ],
)
def test_numbers_read_as_expected(made: str, text: str) -> None:
    assert made == text
