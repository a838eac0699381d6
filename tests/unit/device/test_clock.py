import time

import pytest

from attnprof.device.instruments.clock import AcceleratorClock, HostClock
from tests.fakes.clock import FakeDevice


def test_the_host_clock_gives_each_step_its_own_seconds() -> None:
    clock = HostClock()
    before = clock.now()
    laps = clock.laps([lambda: time.sleep(0.01), lambda: None])
    assert laps[0] >= 0.01
    assert laps[1] < laps[0]
    assert sum(laps) <= clock.now() - before


def test_the_accelerator_clock_reads_events_after_synchronising() -> None:
    device = FakeDevice()
    clock = AcceleratorClock(new_event=device.new_event, synchronize=device.synchronize)
    laps = clock.laps([lambda: device.work(0.002, "forward"), lambda: device.work(0.005, "backward")])
    assert laps == pytest.approx((0.002, 0.005))
    assert device.log == ["event", "forward", "event", "backward", "event"]


def test_work_queued_before_the_first_event_is_not_timed() -> None:
    device = FakeDevice()
    device.work(1.0, "flush")
    clock = AcceleratorClock(new_event=device.new_event, synchronize=device.synchronize)
    assert clock.laps([lambda: device.work(0.002)]) == pytest.approx((0.002,))
