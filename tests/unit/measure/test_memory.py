import os

import pytest
import torch
from torch import Tensor, nn

from attnprof.device import device_named
from attnprof.device.instruments.allocator import highest
from attnprof.measure.memory import peak
from attnprof.measure.passes import Passage, passage
from tests.fakes.accelerator import FakeAccelerator
from tests.fakes.device import ScriptedDevice

KIB = 1024


class Product(nn.Module):
    """x [n, 256] times a square weight, then a sum of squares by hand: every allocation is known."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(256, 256))
        self.register_buffer("table", torch.randn(256))

    def forward(self, x: Tensor) -> Tensor:
        return (x @ self.weight) * self.table


class Forgetful(nn.Module):
    """Computes a product whose graph is dropped before the output is returned."""

    def forward(self, x: Tensor) -> Tensor:
        (x.exp() * 2).sin()
        return x.exp()


class Views(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        y = x.exp()
        return y[:2].sin().sum() + y[2:].sin().sum() + y.flatten().sin().sum()


def test_highest_is_the_top_of_the_running_total() -> None:
    assert highest([5, 3, -3, 4, -9]) == 9
    assert highest([-5, 3]) == 0
    assert highest([]) == 0


def test_a_forward_pass_is_exact() -> None:
    x = torch.randn(64, 256)
    found = peak(passage(Product(), (x,), "forward"), device_named("cpu"))
    assert found.peak_bytes == 2 * 64 * KIB
    assert found.reserved_bytes is None


def test_a_training_pass_is_exact_and_repeats() -> None:
    x = torch.randn(64, 256)
    ready = passage(Product(), (x,), "train")
    out, grad_product, grad_x, grad_w = (kib * KIB for kib in (64, 64, 64, 256))
    assert [peak(ready, device_named("cpu")).peak_bytes for _ in range(3)] == [out + grad_product + grad_x + grad_w] * 3
    assert x.grad is None


def test_gradients_of_the_pass_count_and_those_of_the_run_before_do_not() -> None:
    linear = nn.Linear(512, 512, bias=False)
    ready = passage(linear, (torch.randn(1, 512),), "train")
    found = peak(ready, device_named("cpu")).peak_bytes
    assert 512 * 512 * 4 <= found < 512 * 512 * 4 + 16 * KIB


def saved(module: nn.Module, x: Tensor) -> int | None:
    return passage(module, (x,), "train").saved_bytes


def test_saved_storages_count_once_without_parameters_and_buffers() -> None:
    x = torch.randn(64, 256)
    assert saved(Product(), x) == 64 * KIB


def test_a_buffer_that_no_state_dict_has_lives_anyway() -> None:
    class Positions(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("waves", torch.randn(4, 256), persistent=False)

        def forward(self, x: Tensor) -> Tensor:
            return x * self.waves

    assert saved(Positions(), torch.randn(4, 256)) == 0


def test_views_of_one_storage_count_once() -> None:
    assert saved(Views(), torch.randn(4, 256)) == 4 * KIB


def test_what_the_graph_drops_is_not_saved() -> None:
    assert saved(Forgetful(), torch.randn(256)) == KIB


def test_an_accelerator_is_read_over_its_baseline_after_a_reset() -> None:
    allocator = FakeAccelerator(allocated=1000)
    allocator.change(5000)
    allocator.change(-5000)
    steps = (lambda: allocator.change(300), lambda: allocator.change(-100))
    ready = Passage("train", ("forward", "backward"), steps, lambda: allocator.change(50), lambda: None)
    found = peak(ready, ScriptedDevice(allocator=allocator))
    assert found.peak_bytes == 300
    assert found.reserved_bytes == 1350
    assert allocator.log == ["synchronize", "empty_cache", "reset", "synchronize"]


def test_the_profiler_says_nothing_and_stderr_is_as_before(capfd: pytest.CaptureFixture[str]) -> None:
    peak(passage(nn.Linear(8, 8), (torch.randn(1, 8),), "forward"), device_named("cpu"))
    os.write(2, b"still here")
    assert capfd.readouterr() == ("", "still here")


def test_the_profiler_ends_where_a_step_fails() -> None:
    def fail() -> None:
        raise MemoryError("no room")

    nothing = Passage("forward", ("forward",), (fail,), lambda: None, lambda: None)
    with pytest.raises(MemoryError):
        peak(nothing, device_named("cpu"))
    assert peak(passage(Product(), (torch.randn(64, 256),), "forward"), device_named("cpu")).peak_bytes == 2 * 64 * KIB
