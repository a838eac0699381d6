"""A window counts neighbours, and a token is always its own: a window of 0, as one of 1, is the token itself alone."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from attnprof.errors import AttnprofError
from attnprof.pattern import Expr, Pattern, Slots
from attnprof.shapes import Shape
from attnprof.targets import catalog, door
from attnprof.targets.scheme import CatalogTarget

# Windows that are not around a token: of a grid, of a cluster, of a chunk; there is none without a token.
CELLS = {"swin", "routing", "clusterformer"}
WINDOWED = [
    (name, param)
    for name in catalog.names()
    for param in catalog.entry(name).defaults
    if param == "window" and name not in CELLS
]
SMALL = {
    "block": 4,
    "compress": 4,
    "stride": 2,
    "chunk": 4,
    "selected": 1,
    "global_tokens": 0,
    "sinks": 0,
    "random_blocks": 0,
}


def drawn(name: str, causal: bool, n: int, **params: int) -> Pattern:
    """The pattern at small parameters, without what comes beside the window."""
    own = catalog.entry(name).defaults
    none = {"global_blocks": 0} if name == "bigbird" else {}
    settings = {k: v for k, v in {**SMALL, **none, **params}.items() if k in own}
    target = door.find(name, params=settings)
    assert isinstance(target, CatalogTarget)
    return target.graph(Shape(n, dim=16, heads=2, causal=causal))


def near(expr: Expr, n: int) -> np.ndarray:
    """The edges between tokens, `[n, n]`."""
    direct = expr.direct if isinstance(expr, Slots) else expr
    assert direct is not None
    return direct.slices(n).dense()


@pytest.mark.parametrize(("name", "param"), WINDOWED)
@pytest.mark.parametrize("n", [1, 2, 13])
def test_a_window_of_nothing_is_the_token_itself(name: str, param: str, n: int) -> None:
    for causal in catalog.card(name).causality:
        nothing, one = (drawn(name, causal, n, **{param: size}) for size in (0, 1))
        masks = [near(pattern.expr(), n) for pattern in (nothing, one)]
        assert (masks[0] == masks[1]).all()
        assert masks[0].diagonal().all()
        unit = 4 if param == "window_blocks" else 1
        if name not in ("csa", "nsa"):  # what they select stands beside the window
            token = np.arange(n) // unit
            assert (masks[0] == (token[:, None] == token)).all()


@pytest.mark.parametrize(("name", "param"), WINDOWED)
def test_a_wider_window_reads_no_less(name: str, param: str) -> None:
    for causal in catalog.card(name).causality:
        masks = [near(drawn(name, causal, 24, **{param: size}).expr(), 24) for size in (0, 1, 2, 3, 4, 6, 50)]
        if name != "long_short":  # blocks of another size
            assert all((wide | narrow == wide).all() for narrow, wide in pairwise(masks))
        assert masks[-1].sum() > masks[0].sum()


@pytest.mark.parametrize("name", sorted(CELLS))
def test_a_window_that_holds_tokens_holds_one(name: str) -> None:
    with pytest.raises(AttnprofError, match=f"{name}.window is 0, but it is at least 1"):
        door.find(name, params={"window": 0})


@pytest.mark.parametrize("name", [name for name, param in WINDOWED if catalog.entry(name).edges])
def test_the_closed_count_knows_a_window_of_nothing(name: str) -> None:
    param = "window_blocks" if name == "bigbird" else "window"
    for causal in catalog.card(name).causality:
        for n in (1, 2, 13):
            target = door.find(name, params={param: 0})
            assert isinstance(target, CatalogTarget)
            shape = Shape(n, dim=16, heads=2, causal=causal)
            counted = target.edges(shape)
            assert counted is None or counted == target.graph(shape).edges()
