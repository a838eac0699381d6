"""Why a counter's figure is not the exact one: causes that can be seen, each printed only where it gives the figure.

A counter that names its operators is compared operator by operator with those that really ran. One that only gives a
number is tried on modules of one product (`probing.py`); what it does there must give its figure here, to the digit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction

from attnprof.plan.counters import CounterReading
from attnprof.plan.habits import Traits
from attnprof.records import Cost
from attnprof.shapes import Shape
from attnprof.units import format_flops
from attnprof.words import Pass

FAST_PATH = ("_native_multi_head_attention", "_transformer_encoder_layer_fwd")
# What may hold products, among the names of operators that a tracing counter says it skipped.
HOLDERS = ("attention", "encoder", "lstm", "gru", "rnn", "fft", "bilinear", "cdist", "linalg", "mm", "mv", "PythonOp")
# What fvcore counts beside products.
BESIDE = ("layer_norm", "batch_norm", "group_norm", "instance_norm", "pool", "upsample", "grid_sampler")
SCALES = {Fraction(1, 2): "reports multiply-adds as FLOPs", Fraction(2): "counts a multiply-add twice over"}


@dataclass(frozen=True, slots=True)
class Exact:
    """The exact count, taken apart in the ways in which counters go wrong.

    `fused_dense` is fused attention as if a causal mask skipped nothing, `weights` the elements of all parameters.
    """

    total: int
    core: int
    fused: int
    fused_dense: int
    weights: int

    @classmethod
    def of(cls, cost: Cost, shape: Shape, pass_: Pass) -> Exact:
        """The parts of a counted pass."""
        assert cost.flops_executed is not None, "an incomplete count explains nothing"
        counted = cost.certificate.counted if cost.certificate else ()
        fused = sum(op.flops for op in counted if "scaled_dot_product" in op.op)
        forwards = sum(op.calls for op in counted if "scaled_dot_product" in op.op and "backward" not in op.op)
        square = forwards * 2 * shape.batch * shape.heads * shape.n * shape.keys * (shape.d + shape.d_v)
        return cls(
            total=cost.flops_executed,
            core=cost.flops_core_executed or 0,
            fused=fused,
            fused_dense=round(square * (3.5 if pass_ == Pass.TRAIN else 1)) if fused else 0,
            weights=(cost.param_bytes or 0) // shape.dtype.bytes * shape.batch,
        )


@dataclass(frozen=True, slots=True)
class Ran:
    """The operators with products that a counter's own run executes, with their FLOPs.

    `ungrouped` is what a backward of convolutions costs more where groups are ignored in the weight's gradient, by the
    number of groups.
    """

    flops: Mapping[str, int] = field(default_factory=dict)
    ungrouped: Mapping[int, int] = field(default_factory=dict)

    @property
    def fast_path(self) -> tuple[str, ...]:
        """Operators of torch's fused path for inference among them."""
        return tuple(name for name in self.flops if name in FAST_PATH)


def by_operators(reading: CounterReading, exact: Exact, ran: Ran) -> str:
    """The operators that make the difference, of a counter that names them as torch does; empty if they do not."""
    counted = reading.counted or {}
    if sum(ran.flops.values()) != exact.total or sum(counted.values()) != reading.flops:
        return ""
    absent = {name: flops for name, flops in ran.flops.items() if name not in counted}
    found = [missing(absent)] if absent else []
    for name, theirs in counted.items():
        more = theirs - ran.flops.get(name, 0)
        if more and not (name == "convolution_backward" and more == sum(ran.ungrouped.values())):
            return ""
        if more:
            found.append(ungrouped(ran))
    return "; ".join(found)


def missing(absent: Mapping[str, int]) -> str:
    """The sentence for operators without a formula, with the FLOPs that each of them is left out with."""
    listed = ", ".join(f"{name} ({flops:,} FLOPs)" for name, flops in absent.items())
    if any(path in name for name in absent for path in FAST_PATH):
        return f"counts torch's fused path for inference as nothing: it has no formula for {listed}"
    fused = any("attention" in name for name in absent)
    return f"{'counts fused attention as nothing: it' if fused else 'it'} has no formula for {listed}"


def ungrouped(ran: Ran) -> str:
    """The sentence for a convolution's groups, with the numbers."""
    parts = [
        f"{groups - 1} convolutions more for groups = {groups}, +{more:,}" for groups, more in ran.ungrouped.items()
    ]
    return f"ignores groups in a convolution's weight gradient, (groups - 1) convolutions: {'; '.join(parts)} FLOPs"


def by_trace(reading: CounterReading, exact: Exact) -> str:
    """The same of a counter that traces: what it skipped holds what is missing, and what it adds is no product."""
    counted = reading.counted or {}
    beside = {name: flops for name, flops in counted.items() if any(word in name for word in BESIDE)}
    left = exact.total - (sum(counted.values()) - sum(beside.values()))
    holders = tuple(sorted(name for name in reading.skipped if any(word in name for word in HOLDERS)))
    if left < 0 or (left > 0 and not holders):
        return ""
    added = f"adds work that is no product: {', '.join(beside)} (+{sum(beside.values()):,} FLOPs)" if beside else ""
    absent = missing({", ".join(holders): left}) if left else ""
    return "; ".join(why for why in (absent, added) if why)


def by_traits(figure: int, exact: Exact, traits: Traits, modules: bool) -> str:
    """Mistakes that the counter makes on modules of one product, where together they give the figure; else empty.

    `modules`: whether one that counters of modules know is called at all.
    """
    predicted, found = products(exact, traits)
    scale = traits.linear or Fraction(1)
    if scale in SCALES:
        predicted = int(predicted * scale)
        found.append(SCALES[scale])
    if found and predicted == figure:
        return " and ".join(found)
    if traits.once and figure == 2 * exact.weights:
        return "counts a linear layer once a sequence, not once a token, and no product of activations"
    if figure == 0 and traits.functional == 0 and not modules:
        return "counts modules, and these products are in none that it knows"
    return ""


def products(exact: Exact, traits: Traits) -> tuple[int, list[str]]:
    """What the counter's habits with products of activations leave of the total, and those habits in words."""
    predicted, found = exact.total, []
    between = exact.core - exact.fused
    if traits.between == 0 and between:
        predicted -= between
        found.append("counts no product between activations")
    if traits.fused == 0 and exact.fused:
        predicted -= exact.fused
        found.append("counts fused attention as nothing")
    elif traits.causal == 1 and exact.fused_dense != exact.fused:
        predicted += exact.fused_dense - exact.fused
        found.append("counts causal attention as if nothing were skipped")
    return predicted, found


def unexplained(figure: int, exact: Exact, traits: Traits | None) -> str:
    """What is left to say: how far it is off, and whether it counts elementwise work too."""
    text = f"not explained: {(figure - exact.total) / exact.total:+.1%}"
    if traits is not None and (traits.softmax or traits.scaled):
        shown = f"{traits.softmax or 0:,} for a softmax and {traits.scaled or 0:,} for a scaling of 32 elements"
        return f"{text} (it counts elementwise work too: {shown})"
    return text


def fast_path(ran: Ran, without: int) -> str:
    """The sentence for a counter whose figure depends on the fused path for inference."""
    names = ", ".join(ran.fast_path)
    return (
        f"torch's fused path for inference runs {names} and calls no module inside; "
        f"with that path off it counts {format_flops(without)}"
    )
