"""attnprof's pytest plugin: its assertions as fixtures, and counts that must stay as they were.

`pytest --attnprof-update` writes the counts that `golden_counts` asks for into `attnprof-golden.toml` beside the test.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from attnprof.counting import Counted

KEPT = ("flops_executed", "flops_core_executed", "exp_ops", "saved_bytes", "peak_bytes", "param_bytes")
UPDATE = "--attnprof-update"


def pytest_addoption(parser: pytest.Parser) -> None:
    """The flag that keeps counts anew."""
    group = parser.getgroup("attnprof")
    group.addoption(UPDATE, action="store_true", help="Write the counts of golden_counts anew, and pass.")


@pytest.fixture
def assert_scaling() -> Callable[..., None]:
    """`attnprof.testing.assert_scaling`: each figure grows with n as claimed, at most."""
    from attnprof import testing

    return testing.assert_scaling


@pytest.fixture
def assert_no_leak() -> Callable[..., None]:
    """`attnprof.testing.assert_no_leak`: no output moves with a later token."""
    from attnprof import testing

    return testing.assert_no_leak


@pytest.fixture
def assert_pattern() -> Callable[..., None]:
    """`attnprof.testing.assert_pattern`: true dependencies are the edges of a pattern."""
    from attnprof import testing

    return testing.assert_pattern


@pytest.fixture
def assert_same() -> Callable[..., None]:
    """`attnprof.testing.assert_same`: two targets give the same outputs and gradients."""
    from attnprof import testing

    return testing.assert_same


@pytest.fixture
def golden_counts(request: pytest.FixtureRequest) -> Callable[..., Counted]:
    """Asserts that a target's certified counts are those that were kept: `golden_counts("mine.py:Layer", n=1024)`.

    Takes what `attnprof.count` takes, and returns what it returns. Counts are exact, so any change is one of the code
    (or of torch); the message shows old and new numbers.
    """

    def check(thing: object, n: int, pass_: str = "forward", **sizes: object) -> Counted:
        from attnprof import golden_counts as golden
        from attnprof.api import asked_of
        from attnprof.counting import count
        from attnprof.records import plain
        from attnprof.words import Pass

        found, shape = asked_of(thing, n, sizes)
        counted = count(found, shape, Pass(pass_))
        known_now = plain(counted.cost)
        now = {key: known_now[key] for key in KEPT if known_now[key] is not None}
        path = request.path.parent / golden.FILE
        given = "".join(f" {name}={value}" for name, value in sorted(sizes.items()))
        name = f"{request.node.nodeid.rpartition('/')[2]} · {found.name} n={n} {pass_}{given}"
        if request.config.getoption(UPDATE):
            golden.update(path, name, now)
            return counted
        known = golden.read(path).get(name)
        if known is None:
            pytest.fail(f"no counts are kept of {name}: pytest {UPDATE} writes them to {path}", pytrace=False)
        changed = golden.changes(known, now)
        if changed:
            told = "\n  ".join(changed)
            pytest.fail(f"{name}: counts have changed\n  {told}\nIf that is meant: pytest {UPDATE}", pytrace=False)
        return counted

    return check
