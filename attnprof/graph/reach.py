"""What an engine answers: who reaches whom after how many layers, counted over all pairs."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from attnprof.graph.layered import LayeredRelation
from attnprof.graph.pixels import Counts, Grid
from attnprof.pattern.slices import Ints
from attnprof.words import Certainty

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
EVERY_LAYER = 32
WIDEST = 16384


@dataclass(frozen=True, slots=True)
class ReachRequest:
    """What to find out: up to `layers` layers (None: until nothing new can be reached), a picture of `side` pixels.

    `drawn`: the layers are random draws, so that a search which ends has not shown that more of them reach no more.
    """

    layers: int | None = None
    side: int = 0
    threads: int = 0
    seed: int = 0
    drawn: bool = False

    def grid(self, n: int) -> Grid | None:
        """The pixels of the picture; None if none is wanted."""
        return Grid.of(n, self.side) if self.side else None


@dataclass(frozen=True, slots=True)
class LayerReach:
    """Tokens that one output can depend on after `layer` layers, its own included, over all positions.

    `share` is the share of allowed pairs; `low` and `high` bound it where the answer is a bound or a sample. The
    extremes over positions are None in a sample, which cannot show them.
    """

    layer: int
    min: int | None
    mean: float
    max: int | None
    share: float
    quantiles: tuple[float, ...] = ()
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, eq=False)
class Reach:
    """The answer. Hops are layers: pair (i, j) has hop k if layer k is the first after which i depends on j.

    `histogram[k]` counts pairs of hop k (k = 0: each token with itself). `farthest_out[i]`, `farthest_in[j]` are the
    largest hops from query i, to key j, among what is reached (-1 where unknown). `closed` says that nothing more is
    reached with more layers. `images[k]` counts the pairs of each pixel reached within k layers.
    """

    n: int
    causal: bool
    pairs: int
    layers: tuple[LayerReach, ...]
    histogram: Ints
    farthest_out: Ints
    farthest_in: Ints
    closed: bool
    engine: str = ""
    certainty: Certainty = Certainty.EXACT
    seconds: float = 0.0
    grid: Grid | None = None
    images: dict[int, Counts] = field(default_factory=dict)
    sources: int | None = None
    note: str = ""

    @property
    def full(self) -> bool:
        """Whether every allowed pair is reached; never known of a sample."""
        return self.certainty != Certainty.SAMPLED and int(self.histogram.sum()) == self.pairs

    @property
    def layers_to_full(self) -> int | None:
        """The first layer after which every query depends on every allowed token; None if that never comes."""
        return len(self.histogram) - 1 if self.full else None

    @property
    def mean_hops(self) -> float | None:
        """Mean hop over reached pairs of different tokens; None without any."""
        pairs = int(self.histogram[1:].sum())
        hops = np.arange(1, len(self.histogram))
        return float((hops * (self.histogram[1:] / pairs)).sum()) if pairs else None


class ReachTally:
    """Collects the counts of each layer into a `Reach`, keeping per-layer vectors only as long as they are needed."""

    def __init__(self, stack: LayeredRelation, grid: Grid | None) -> None:
        self.stack = stack
        self.grid = grid
        self.histogram = [stack.n]
        self.total = stack.n
        self.layers = [layer_reach(0, np.ones(stack.n, dtype=np.int64), stack.pairs)]
        self.images: dict[int, Counts] = {}

    def add(self, layer: int, counts: Ints, image: Counts | None = None) -> int:
        """Take the reach counts of the next layer, `[n]`; returns how many pairs are new in it."""
        new = self.skip(int(counts.sum()))
        if kept(layer):
            self.layers.append(layer_reach(layer, counts, self.stack.pairs))
        if image is not None:
            self.images[layer] = image
        return new

    def skip(self, total: int) -> int:
        """Take the pairs reached within the next layer without its counts; returns how many are new in it."""
        new = total - self.total
        self.histogram.append(new)
        self.total = total
        return new

    def result(self, farthest_out: Ints, farthest_in: Ints, closed: bool, last: Ints | None = None) -> Reach:
        """The finished record; `last` are the counts of the last layer, so that it is always listed."""
        if len(self.histogram) == 1:
            self.add(1, np.ones(self.stack.n, dtype=np.int64), np.diag(self.grid.widths) if self.grid else None)
        histogram = np.trim_zeros(np.asarray(self.histogram, dtype=np.int64), "b")
        end = len(self.histogram) - 1
        if last is not None and self.layers[-1].layer != end:
            self.layers.append(layer_reach(end, last, self.stack.pairs))
        stop = len(histogram) - 1 if closed else end
        layers = tuple(entry for entry in self.layers if 0 < entry.layer <= max(stop, 1))
        images = {layer: image for layer, image in self.images.items() if layer <= max(stop, 1)}
        return Reach(
            n=self.stack.n,
            causal=self.stack.causal,
            pairs=self.stack.pairs,
            layers=layers,
            histogram=histogram,
            farthest_out=farthest_out,
            farthest_in=farthest_in,
            closed=closed,
            grid=self.grid,
            images=images,
        )


def kept(layer: int) -> bool:
    """Whether a layer is listed and pictured: each of the first 32, then four to an octave."""
    if layer <= EVERY_LAYER:
        return True
    octave = 1 << (layer.bit_length() - 1)
    return layer % (octave // 4) == 0


def layer_reach(layer: int, counts: Ints, pairs: int) -> LayerReach:
    """One entry of the reach curve from the counts of all positions, `[n]`."""
    values = np.quantile(counts, QUANTILES) if len(counts) <= 1 << 17 else _quantiles(counts)
    total = int(counts.sum())
    return LayerReach(
        layer, int(counts.min()), total / len(counts), int(counts.max()), total / pairs, tuple(float(v) for v in values)
    )


def _quantiles(counts: Ints) -> np.ndarray:
    """Lower quantiles by one partial sort: at a million positions interpolation between neighbours says nothing."""
    at = [int(q * (len(counts) - 1)) for q in QUANTILES]
    return np.partition(counts, at)[at]
