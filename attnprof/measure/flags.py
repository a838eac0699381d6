"""The flags that a measurement may carry, in words. A flag never drops a number; it says what to think of it."""

from __future__ import annotations

from attnprof.interval import FEWEST_SAMPLES
from attnprof.stats import ROUNDS

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
    "few_rounds": f"fewer than {ROUNDS} rounds, each a process of its own: the interval knows little of the next one",
    "round_lost": "a later round of it failed; what the earlier ones measured stands",
    "not_repeatable": "two runs alike do not give the same output, so that none could be held against another",
    "unchecked": "there was no memory left to hold the output of a timed run against that of another module",
    "page_faults": "the kernel handed out memory while it was timed, which took a good part of the time",
    "multimodal": "the samples of a process fall into groups, by Hartigan's dip test: more than one thing was timed",
    "other_sweep": "another sweep was measuring on this machine",
    "energy_short": "energy was read over less than a second, in which its counter hardly ticks",
    "throttled": "the device held its clocks back",
    "shared_device": "other processes computed on the device",
    "busy_machine": "other processes competed for the cores",
}
