"""Every scheme stands in a stack: what its layers are counted as, each on its own, is what they spend in the whole."""

from __future__ import annotations

from functools import partial

import pytest

import attnprof
from attnprof.counting import count
from attnprof.counting.added import count_parts, summed
from attnprof.counting.believed import observe
from attnprof.errors import Unsupported
from attnprof.layered_target import LayeredTarget
from attnprof.shapes import Shape
from attnprof.targets import catalog
from attnprof.targets.stack_text import LayerText, StackText, format_stack
from attnprof.words import Level, Pass

SQUARE = 64  # tokens: a square, which images ask for
SECOND_SEQUENCE = ("cross",)
# Its mixing is a layer of its own, which is told from the rest where no other layer marks its core: it stands alone.
UNMARKED = ("fnet",)


TOGETHER = 8


def layer(name: str) -> LayerText:
    settings = dict(catalog.entry(name).examples[0])
    if "reversible" in catalog.entry(name).params:
        settings["reversible"] = False
    return LayerText(name, settings)


def stacked(*names: str) -> LayeredTarget:
    found = attnprof.target(format_stack(StackText(tuple((1, layer(name)) for name in names))))
    assert isinstance(found, LayeredTarget)
    return found


def groups() -> list[tuple[str, ...]]:
    """The schemes, eight at a time, those together that have one causality: each group is one stack."""
    found: list[tuple[str, ...]] = []
    for causal in (True, False):
        alike = [n for n in catalog.distinct_schemes() if catalog.card(n).native_causal is causal]
        named = [n for n in alike if n not in (*SECOND_SEQUENCE, *UNMARKED)]
        found += [tuple(named[at : at + TOGETHER]) for at in range(0, len(named), TOGETHER)]
    return [*found, *((name,) for name in UNMARKED)]


def agree(names: tuple[str, ...], level: Level) -> None:
    """What is counted layer by layer, and added, is what the whole module spends in training."""
    target = stacked(*names)
    shape = Shape(n=SQUARE, dim=32, heads=4, causal=target.card.native_causal, level=level)
    values, _ = summed(count_parts(target, shape, Pass.TRAIN, partial(count, core=True)))
    seen = observe(target, shape, Pass.TRAIN)
    tally = seen.run.tally
    whole = {
        "flops_executed": tally.flops,
        "flops_core_executed": tally.core,
        "selection_flops": tally.selection,
        "exp_ops": tally.exp_ops,
        "arith_ops": tally.arith_ops,
        "saved_bytes": seen.run.saved_bytes,
        "param_bytes": seen.built.param_bytes,
        "buffer_bytes": seen.built.buffer_bytes,
        "param_grad_bytes": seen.run.param_grad_bytes,
    }
    assert {key: values[key] for key in whole} == whole


@pytest.mark.parametrize("names", groups(), ids=lambda names: f"{names[0]} to {names[-1]}")
def test_schemes_cost_in_a_stack_what_they_cost_alone(names: tuple[str, ...]) -> None:
    agree(names, Level.ATTENTION)


@pytest.mark.parametrize("name", ["funnel", "axial_autoregressive", "sparse_strided", "swin"])
def test_schemes_of_several_layers_stand_in_as_many_blocks_as_they_come_in(name: str) -> None:
    agree((name, "dense"), Level.BLOCK)


@pytest.mark.parametrize("name", SECOND_SEQUENCE)
def test_what_reads_a_second_sequence_stands_in_no_stack(name: str) -> None:
    with pytest.raises(Unsupported, match="reads a second sequence, and a stack has one"):
        attnprof.count(stacked(name, "dense"), SQUARE)
