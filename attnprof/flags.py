"""The flags that a number may carry: one table of what each is called, what it means, and what it casts doubt on.

A flag never drops a number; it says what to think of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Flag, auto

from attnprof.interval import FEWEST_SAMPLES


class Doubt(Flag):
    """The quantities that a flag casts doubt on; `NONE` where it only tells something."""

    NONE = 0
    TIME = auto()
    ENERGY = auto()
    MEMORY = auto()


MEASURED = Doubt.TIME | Doubt.ENERGY


@dataclass(frozen=True, slots=True)
class FlagMeaning:
    """`phrase` stands in a list of flags, `text` in a glossary. An `unfit` measurement carries no verdict."""

    phrase: str
    text: str
    doubt: Doubt = MEASURED
    unfit: bool = False


FLAGS: Mapping[str, FlagMeaning] = {
    "few_rounds": FlagMeaning(
        "few rounds",
        "fewer rounds than the goal, each a process of its own: the interval knows little of the next one",
    ),
    "few_samples": FlagMeaning(
        "few samples",
        f"fewer than {FEWEST_SAMPLES} samples: the interval is their range and covers the median below 95%",
    ),
    "cut_short": FlagMeaning(
        "sampling cut short", "the time was spent before the least number of samples was taken", unfit=True
    ),
    "wide_interval": FlagMeaning("wide interval", "the interval is wider than the target"),
    "noisy": FlagMeaning("scattered samples", "the samples' standard deviation is at least 10% of their mean"),
    "multimodal": FlagMeaning(
        "samples in groups",
        "the samples of a process fall into groups, by Hartigan's dip test: more than one thing was timed",
        unfit=True,
    ),
    "short": FlagMeaning(
        "shorter than 1 ms", "the shortest sample is below 1 ms, where launch and call overhead weigh", unfit=True
    ),
    "cold": FlagMeaning("not warmed up", "the budget left no time to warm up: the first run is a sample", unfit=True),
    "unsteady_warmup": FlagMeaning("unsteady warm-up", "warm-up ended before two runs in a row agreed within 10%"),
    "busy_machine": FlagMeaning("busy machine", "other processes competed for the cores", unfit=True),
    "other_sweep": FlagMeaning("another sweep beside it", "another sweep was measuring on this machine", unfit=True),
    "throttled": FlagMeaning("throttled device", "the device held its clocks back", unfit=True),
    "shared_device": FlagMeaning("shared device", "other processes computed on the device", unfit=True),
    "page_faults": FlagMeaning(
        "page faults", "the kernel handed out memory while it was timed, which took a good part of the time"
    ),
    "round_lost": FlagMeaning("a round lost", "a later round of it failed; what the earlier ones measured stands"),
    "not_repeatable": FlagMeaning(
        "output not repeatable",
        "two runs alike do not give the same output, so that none could be held against another",
    ),
    "unchecked": FlagMeaning(
        "output not checked",
        "there was no memory left to hold the output of a timed run against that of another module",
    ),
    "energy_short": FlagMeaning(
        "energy read too briefly",
        "energy was read over less than a second, in which its counter hardly ticks",
        Doubt.ENERGY,
    ),
    "workspace_unknown": FlagMeaning(
        "kernel workspace unknown",
        "some kernels take memory for themselves in amounts that are not known to the byte, named in the certificate: "
        "the predicted peak goes without it, or with an estimate of it",
        Doubt.MEMORY,
    ),
    "workspace_of_sparse_kernels_unknown": FlagMeaning(
        "sparse kernels' workspace unknown",
        "what kernels on sparse tensors allocate for themselves is not in the peak",
        Doubt.MEMORY,
    ),
    "second_opinion_differs": FlagMeaning(
        "another counter disagrees", "fvcore counts other FLOPs; the certificate holds both", Doubt.NONE
    ),
    "interpolated": FlagMeaning(
        "interpolated counts", "exact interpolation through counts of shorter real runs", Doubt.NONE
    ),
    "counted_on_real_tensors": FlagMeaning(
        "counted on real tensors",
        "fake tensors cannot stand for real ones here, so a real run was counted",
        Doubt.NONE,
    ),
    "differs_when_traced": FlagMeaning(
        "differs when traced", "it does something else on fake tensors than on real ones", Doubt.NONE
    ),
    "not_compared_with_a_real_run": FlagMeaning(
        "not compared with a real run",
        "it was counted on fake tensors, and no real run could be held against them",
        Doubt.NONE,
    ),
    "depends_on_data": FlagMeaning("depends on the data", "its cost depends on the data: this is one random draw"),
    "made_for_each_length": FlagMeaning(
        "made anew for each length", "its constructor is told the length: it is another module at each", Doubt.NONE
    ),
    "layout:nbd": FlagMeaning(
        "inputs as [n, b, D]", "a probe found its inputs to lie as [n, b, D], and they are given so", Doubt.NONE
    ),
    "layout:bnhd": FlagMeaning(
        "streams as [b, n, h, d]", "a probe found its streams to lie as [b, n, h, d], and they are given so", Doubt.NONE
    ),
    "tokens_never_mix": FlagMeaning(
        "tokens never mix",
        "no token moved another's output: it attends to nothing, or its axes lie in another order",
        Doubt.NONE,
    ),
    "batch_mixes": FlagMeaning(
        "sequences of a batch mix", "sequences of one batch move each other's outputs", Doubt.NONE
    ),
    "batch_mixes_in_training": FlagMeaning(
        "sequences of a batch mix in training",
        "in training, sequences of one batch move each other's outputs",
        Doubt.NONE,
    ),
    "causal_seen": FlagMeaning(
        "seen to be causal",
        "no token moved an output before it, at a small length and with random inputs",
        Doubt.NONE,
    ),
    "bidirectional_seen": FlagMeaning("seen to be bidirectional", "a token moved an output before it", Doubt.NONE),
    "future_leaks": FlagMeaning(
        "the future leaks", "it was asked to be causal, and a token moved an output before it", Doubt.NONE
    ),
    "not_probed": FlagMeaning("not probed", "what it mixes could not be seen", Doubt.NONE),
}
RENAMED: Mapping[str, str] = {"below_floor": "cut_short"}  # a floor is the roofline's; records hold the old word


def current(flags: Iterable[str]) -> tuple[str, ...]:
    """The flags of a record under the names that they have now."""
    return tuple(RENAMED.get(flag, flag) for flag in flags)


def phrase(flag: str) -> str:
    """What a reader is shown of a flag; of one that says a value (`clipped:window=64`), with that."""
    kind, _, value = flag.partition(":")
    if flag in FLAGS:
        return FLAGS[flag].phrase
    if kind == "clipped":
        return "{} clipped to {}".format(*value.partition("=")[::2])
    return value if kind == "impl" else flag.replace("_", " ")


def phrases(flags: Iterable[str], most: int | None = None) -> str:
    """Flags in a row as a reader is shown them, those beyond `most` as a count."""
    found = [phrase(flag) for flag in flags]
    shown = found[:most]
    rest = len(found) - len(shown)
    return ", ".join(shown) + (f" and {rest} more" if rest else "")


def doubt(flag: str) -> Doubt:
    """What a flag casts doubt on: one that this version does not know, on whatever was measured."""
    if flag in FLAGS:
        return FLAGS[flag].doubt
    return Doubt.NONE if flag.partition(":")[0] in ("clipped", "impl", "layout") else MEASURED
