"""Six ways to cheat a benchmark, planted; and that honest modules pass."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from attnprof.device import device_named
from attnprof.device.instruments import clock
from attnprof.errors import Failed
from attnprof.measure import measure_target
from attnprof.shapes import Shape
from attnprof.words import Pass
from tests.fakes.targets import FakeTarget, Window

SHAPE = Shape(n=64, dim=16, heads=2)


class Cheat(Window):
    """A window that is honest until it is told otherwise."""

    kept: dict[object, Tensor]

    def __init__(self, shape: Shape) -> None:
        super().__init__(shape, 8)
        self.kept, self.calls = {}, 0


class PersistingCache(Cheat):
    """All instances share one cache, by the shape of what comes in."""

    shared: dict[object, Tensor] = {}  # noqa: RUF012

    def forward(self, x: Tensor) -> Tensor:
        if x.shape not in self.shared:
            self.shared[x.shape] = super().forward(x)
        return self.shared[x.shape]


class Replay(Cheat):
    """Each instance computes once."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.kept:
            self.kept[0] = super().forward(x).detach()
        return self.kept[0]


class Later(Tensor):
    """A tensor whose values may be computed when they are looked at."""


class Lazy(Cheat):
    """Returns what need not have been computed."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).as_subclass(Later)


class Background(Cheat):
    """Returns at once and computes in a thread."""

    def forward(self, x: Tensor) -> Tensor:
        out = torch.zeros_like(x)

        def fill() -> None:
            time.sleep(0.05)
            with torch.no_grad():
                out.copy_(super(Background, self).forward(x))

        self.thread = threading.Thread(target=fill)
        self.thread.start()
        return out


class SetUp(Cheat):
    """Computes the result of the inputs that it knows will come when it is made."""

    def __init__(self, shape: Shape) -> None:
        super().__init__(shape)
        with torch.random.fork_rng(), torch.no_grad():
            torch.manual_seed(shape.seed)
            Window(shape, 8)
            self.known = super().forward(torch.randn(shape.batch, shape.n, shape.dim))

    def forward(self, x: Tensor) -> Tensor:
        return self.known.clone()


class Drift(Cheat):
    """Works for the first few calls of an instance, then leaves the second half out."""

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        out = super().forward(x)
        return out if self.calls < 4 else torch.cat((out[:, :32], torch.zeros_like(out[:, 32:])), 1)


class SharedDrift(Cheat):
    """The same for all instances together."""

    count = 0

    def forward(self, x: Tensor) -> Tensor:
        type(self).count += 1
        out = super().forward(x)
        return out if self.count < 4 else torch.cat((out[:, :32], torch.zeros_like(out[:, 32:])), 1)


def measured(module: Callable[[Shape], nn.Module], pass_: Pass = Pass.FORWARD) -> Any:
    """The outcome of a point of a target that is this module."""
    target = FakeTarget(wrong=module, oracle=False)
    return measure_target(target, SHAPE, pass_, device_named("cpu"), budget_s=0.05)


CHEATS = {
    PersistingCache: "before its inputs changed",
    Replay: "before its inputs changed",
    Lazy: "returns a Later",
    Background: "results came after its timed run",
    SetUp: "before its inputs changed",
    Drift: "something else than a module that was never timed",
    SharedDrift: "something else than before",
}


@pytest.mark.parametrize(("cheat", "said"), CHEATS.items(), ids=lambda x: x.__name__ if isinstance(x, type) else "")
def test_a_cheat_is_no_measurement(cheat: type[Cheat], said: str) -> None:
    with pytest.raises(Failed, match=said):
        measured(cheat)


def test_a_patched_timer_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    class Patches(Cheat):
        def forward(self, x: Tensor) -> Tensor:
            monkeypatch.setattr(time, "perf_counter_ns", lambda: 0)
            monkeypatch.setattr(time, "perf_counter", lambda: 0.0)
            return super().forward(x)

    found = measured(Patches).measured.wall_s
    assert found.low > 1e-6
    assert clock.now() != clock.now() or clock.now() > 0


class Normed(Window):
    """What the scale of its inputs does not reach."""

    def __init__(self, shape: Shape) -> None:
        super().__init__(shape, 8)
        self.norm = nn.LayerNorm(shape.dim)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(self.norm(x))


class Dropped(Window):
    """Random in training, by torch's generator."""

    def __init__(self, shape: Shape) -> None:
        super().__init__(shape, 8)

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.dropout(super().forward(x), 0.5, self.training)


class OwnDice(Dropped):
    """Random by a generator of its own."""

    def forward(self, x: Tensor) -> Tensor:
        generator = torch.Generator()
        generator.seed()
        return super().forward(x) * torch.rand(x.shape, generator=generator)


class Zero(Window):
    """A layer whose last product starts at zero."""

    def __init__(self, shape: Shape) -> None:
        super().__init__(shape, 8)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * 0


@pytest.mark.parametrize("pass_", [Pass.FORWARD, Pass.TRAIN])
@pytest.mark.parametrize("honest", [Normed, Dropped, Zero, lambda shape: Window(shape, 8)])
def test_an_honest_module_passes(honest: Any, pass_: Pass) -> None:
    assert not {"not_repeatable", "unchecked"} & set(measured(honest, pass_).flags)


def test_what_is_random_by_itself_is_flagged() -> None:
    assert "not_repeatable" in measured(OwnDice).flags


def test_a_gradient_that_is_left_out_is_seen() -> None:
    class Frozen(Cheat):
        def forward(self, x: Tensor) -> Tensor:
            self.calls += 1
            out = super().forward(x)
            return out if self.calls < 4 else out.detach() + 0 * out

    with pytest.raises(Failed, match="something else"):
        measured(Frozen, Pass.TRAIN)
