import numpy as np

from attnprof.records import Point, Record
from attnprof.render.patterns import catalogue_pictures
from attnprof.shapes import Shape
from attnprof.targets import catalog, door
from tests.fakes.records import SCHEMES


def record(target: str, n: int, *, status: str = "ok", causal: bool = False, **params: int) -> Record:
    point = Point(target, Shape(n=n, causal=causal), params=params)
    return Record("cost", f"{target}{n}{causal}", point, status=status)  # type: ignore[arg-type]


def test_every_sparse_scheme_of_the_catalogue_has_a_picture_and_the_others_have_none() -> None:
    native = {f.name: catalog.entry(f.name).card.native_causal for f in SCHEMES}
    draw = catalogue_pictures([record(name, 1024, causal=causal) for name, causal in native.items()])
    drawn = {name for name in native if draw(name) is not None}
    assert drawn == {"sliding_window", "longformer", "bigbird", "sparse_strided"}
    assert draw("nobody") is None


def test_a_picture_holds_every_edge() -> None:
    found = catalogue_pictures([record("sliding_window", 1000, window=64)])("sliding_window")
    assert found is not None
    mask = door.find("sliding_window", params={"window": 64}).pattern(Shape(n=1000)).dense()  # type: ignore[union-attr]
    size = -(-1000 // len(found.values))
    rows = np.add.reduceat(np.add.reduceat(mask.astype(int), np.arange(0, 1000, size), 0), np.arange(0, 1000, size), 1)
    assert ((found.values > 0) == (rows > 0)).all()
    assert found.values.max() == 1.0


def test_the_picture_is_drawn_at_a_length_that_can_be_seen() -> None:
    made = [record("longformer", n, window=512, global_tokens=1) for n in (1024, 4096, 65536)]
    found = catalogue_pictures(made)("longformer")
    assert found is not None
    assert found.n == 4096


def test_a_run_of_an_earlier_catalogue_has_no_picture_of_what_is_gone() -> None:
    assert catalogue_pictures([record("longformer", 1024, breadth=7)])("longformer") is None
