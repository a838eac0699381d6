"""The metrics, one file a group; to add one, write it and name it here."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from attnprof.graph.metrics.bandwidth import bandwidth
from attnprof.graph.metrics.baseline import baseline
from attnprof.graph.metrics.clustering import clustering
from attnprof.graph.metrics.components import components
from attnprof.graph.metrics.degrees import degrees
from attnprof.graph.metrics.distances import hops, reach_curve
from attnprof.graph.metrics.heads import idle_heads
from attnprof.graph.metrics.hubs import hubs
from attnprof.graph.metrics.mixing import mixing
from attnprof.graph.metrics.properties import structure
from attnprof.graph.metrics.slot_counts import bottleneck
from attnprof.graph.metrics.spectrum import spectral_gap
from attnprof.graph.subject import Facts, Subject


class Metric(NamedTuple):
    """A group of numbers about a pattern: its name, and the function that finds them."""

    name: str
    find: Callable[[Subject], Facts]


METRICS: tuple[Metric, ...] = (
    Metric("degrees", degrees),
    Metric("components", components),
    Metric("reach", reach_curve),
    Metric("hops", hops),
    Metric("idle heads", idle_heads),
    Metric("structure", structure),
    Metric("hubs", hubs),
    Metric("mixing", mixing),
    Metric("spectrum", spectral_gap),
    Metric("clustering", clustering),
    Metric("bandwidth", bandwidth),
    Metric("bottleneck", bottleneck),
    Metric("baseline", baseline),
)
