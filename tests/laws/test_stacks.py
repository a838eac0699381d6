"""Every scheme stands in a stack: what its layers are counted as, each on its own, is what they spend in the whole."""

from __future__ import annotations

from functools import partial

import pytest

import attnprof
from attnprof.contracts import LayeredTarget
from attnprof.counting import count
from attnprof.counting.added import count_parts, summed
from attnprof.counting.believed import observe
from attnprof.errors import Unsupported
from attnprof.shapes import Shape
from attnprof.targets import catalog
from attnprof.targets.stack_text import LayerText, StackText, format_stack
from attnprof.words import Level, Pass

SQUARE = 64  # tokens: a square, which images ask for
SECOND_SEQUENCE = ("cross",)
# Its mixing is a layer of its own, which is told from the rest where nothing else is marked: not beside dense.
UNMARKED = ("fnet",)


def beside_dense(name: str) -> LayeredTarget:
    settings = dict(catalog.entry(name).examples[0])
    if "reversible" in catalog.entry(name).params:
        settings["reversible"] = False
    layers = (1, LayerText(name, settings)), (1, LayerText("dense"))
    found = attnprof.target(format_stack(StackText(layers)))
    assert isinstance(found, LayeredTarget)
    return found


@pytest.mark.parametrize("name", sorted(set(catalog.distinct_schemes()) - set(SECOND_SEQUENCE)))
def test_a_scheme_costs_in_a_stack_what_it_costs_alone(name: str) -> None:
    target = beside_dense(name)
    shape = Shape(n=SQUARE, dim=32, heads=4, causal=target.card.native_causal, level=Level.BLOCK)
    values, _ = summed(count_parts(target, shape, Pass.TRAIN, partial(count, core=True)))
    seen = observe(target, shape, Pass.TRAIN)
    tally = seen.run.tally
    whole = {
        "flops_executed": tally.flops,
        "selection_flops": tally.selection,
        "exp_ops": tally.exp_ops,
        "arith_ops": tally.arith_ops,
        "saved_bytes": seen.run.saved_bytes,
        "param_bytes": seen.built.param_bytes,
        "buffer_bytes": seen.built.buffer_bytes,
        "param_grad_bytes": seen.run.param_grad_bytes,
    }
    if name not in UNMARKED:
        whole["flops_core_executed"] = tally.core
    assert {key: values[key] for key in whole} == whole


@pytest.mark.parametrize("name", SECOND_SEQUENCE)
def test_what_reads_a_second_sequence_stands_in_no_stack(name: str) -> None:
    with pytest.raises(Unsupported, match="reads a second sequence, and a stack has one"):
        attnprof.count(beside_dense(name), SQUARE)
