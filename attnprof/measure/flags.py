"""The flags that a measurement may carry, in words. A flag never drops a number; it says what to think of it."""

from __future__ import annotations

from attnprof.records import FEWEST_SAMPLES

FLAGS = {
    "workspace_unknown": "some kernels take memory for themselves in amounts that are not known to the byte, named in "
    "the certificate: the predicted peak goes without it, or with an estimate of it",
    "few_samples": f"fewer than {FEWEST_SAMPLES} samples: the interval is their range and covers the median below 95%",
    "below_floor": "the budget ended before the floor of samples was reached",
    "wide_interval": "the interval is wider than the target",
    "noisy": "the samples' standard deviation is at least 10% of their mean",
    "short": "the shortest sample is below 1 ms, where launch and call overhead weigh",
    "cold": "the budget left no time to warm up: the first run is a sample",
    "unsteady_warmup": "warm-up ended before two runs in a row agreed within 10%",
    "energy_short": "energy was read over less than a second, in which its counter hardly ticks",
    "throttled": "the device held its clocks back",
    "shared_device": "other processes computed on the device",
    "busy_machine": "other processes competed for the cores",
}
