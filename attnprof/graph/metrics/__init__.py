"""The metrics, one file a group; to add one, write it and name it here."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from attnprof.graph.metrics.baseline import baseline
from attnprof.graph.metrics.clustering import clustering
from attnprof.graph.metrics.components import components
from attnprof.graph.metrics.degrees import degrees
from attnprof.graph.metrics.disjoint_paths import disjoint_paths
from attnprof.graph.metrics.distances import hops, reach_curve
from attnprof.graph.metrics.hubs import hubs
from attnprof.graph.metrics.mixing import mixing
from attnprof.graph.metrics.properties import structure
from attnprof.graph.metrics.redundant_heads import redundant_heads
from attnprof.graph.metrics.slot_counts import bottleneck
from attnprof.graph.metrics.spectrum import spectral_gap
from attnprof.graph.subject import Facts, Subject


class GraphMetric(NamedTuple):
    """A group of numbers about a pattern: its name, and the function that finds them."""

    name: str
    find: Callable[[Subject], Facts]


METRICS: tuple[GraphMetric, ...] = (
    GraphMetric("degrees", degrees),
    GraphMetric("components", components),
    GraphMetric("reach", reach_curve),
    GraphMetric("hops", hops),
    GraphMetric("redundant heads", redundant_heads),
    GraphMetric("structure", structure),
    GraphMetric("hubs", hubs),
    GraphMetric("mixing", mixing),
    GraphMetric("spectrum", spectral_gap),
    GraphMetric("clustering", clustering),
    GraphMetric("disjoint paths", disjoint_paths),
    GraphMetric("bottleneck", bottleneck),
    GraphMetric("baseline", baseline),
)
