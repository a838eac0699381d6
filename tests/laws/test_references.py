"""A reference shares nothing with the code that it checks: no function, no table, no order, bucket or position.

What both need of the same draw (directions, rotations, centroids) or of the same weights, both read; everything that
is computed from these, each computes by itself. Traced as it runs, so that no detour through a helper is missed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import CodeType, FrameType

import pytest
import torch
from torch import Tensor, nn

from attnprof.layers.gathered import GatherCore
from attnprof.layers.masked_softmax import MaskedCore
from attnprof.locate import PACKAGE, shipped
from attnprof.shapes import Shape
from attnprof.words import Level
from tests.laws.cases import Case, cases

Function = tuple[str, int, str]  # file, first line, name

# What a reference may share: how a parameter is looked up, and the run of several layers one after the other.
LOOK_UP = (
    "attnprof/contracts.py",
    "attnprof/records.py",
    "attnprof/shapes.py",
    "attnprof/words.py",
    "attnprof/layers/stacked.py",
)
# A reference of whole layers keeps the projections around their cores.
AROUND = ("attnprof/layers/attention.py",)
# What executes edges is given a pattern, and so is its reference. What each pattern must be stands in test_papers.py.
GIVEN = ("attnprof/pattern/", "attnprof/targets/", "patterns/")
# Random draws, which are no result of the code under test.
DRAWS = {
    "performer": {"projection"},
    "reformer": {"rotations"},
    "routing": {"centroids"},
    "rfa": {"directions"},
    "clustered": {"directions", "first"},
    "clusterformer": {"centres"},
}
BLOCKS = [Case("switch", causal, {"experts_per_token": k}) for causal in (False, True) for k in (1, 2)]
LEVELS = [(case, level) for case in cases() for level in (Level.CORE, Level.ATTENTION)]
each = pytest.mark.parametrize(
    ("case", "level"),
    [pytest.param(case, level, id=f"{case}-{level}") for case, level in [*LEVELS, *((b, Level.BLOCK) for b in BLOCKS)]],
)


def traced(call: Callable[[], object]) -> set[Function]:
    """The functions of attnprof, and of its pattern files, that a call runs."""
    found: set[CodeType] = set()

    def note(frame: FrameType, event: str, _: object) -> None:
        if event == "call":
            found.add(frame.f_code)

    sys.setprofile(note)
    try:
        call()
    finally:
        sys.setprofile(None)
    homes = {str(PACKAGE): "attnprof", str(shipped("patterns")): "patterns"}
    return {
        (home + code.co_filename.removeprefix(root), code.co_firstlineno, code.co_name)
        for code in found
        for root, home in homes.items()
        if code.co_filename.startswith(root) and code.co_name != "<module>"
    }


def parts_of(module: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """The parts that have a reference, with their names."""
    return ((name, part) for name, part in module.named_modules() if callable(getattr(part, "reference", None)))


def given_to(module: nn.Module, inputs: tuple[Tensor, ...]) -> dict[str, tuple[Tensor, ...]]:
    """What every part with a reference is called with when the module runs."""
    seen: dict[str, tuple[Tensor, ...]] = {}
    hooks = [
        part.register_forward_pre_hook(lambda _, args, name=name: seen.setdefault(name, args) and None)
        for name, part in parts_of(module)
    ]
    module(*inputs)
    for hook in hooks:
        hook.remove()
    return seen


def small(case: Case, level: Level) -> Shape:
    return case.shape(37).replace(level=level)


def allowed(part: nn.Module, level: Level) -> tuple[str, ...]:
    """The files whose functions the reference of a part may run although the part runs them too."""
    given = GIVEN if type(part) in (GatherCore, MaskedCore) else ()
    return LOOK_UP + given + (() if level is Level.CORE else AROUND)


@each
def test_a_reference_runs_no_function_of_the_code_that_it_checks(case: Case, level: Level) -> None:
    shape, made = small(case, level), []
    torch.manual_seed(0)
    building = traced(lambda: made.append(case.target.build(shape).eval()))
    module, oracle, inputs = made[0], case.target.reference(shape).eval(), case.target.inputs(shape)
    oracle.load_state_dict(module.state_dict())
    received = given_to(module, inputs)
    assert received, "nothing has a reference"
    for name, args in received.items():
        part, checks = module.get_submodule(name), oracle.get_submodule(name)
        fast, reference = building | traced(partial(part, *args)), traced(partial(checks, *args))
        assert any(function[2] == "reference" for function in reference)
        shared = {function for function in reference & fast if not function[0].startswith(allowed(part, level))}
        assert not shared, f"{name or type(part).__name__}: {sorted(shared)}"


@each
def test_a_reference_reads_no_table_of_the_code_that_it_checks(case: Case, level: Level) -> None:
    """With every table spoilt, masks inverted, indices 0, numbers not a number, a reference says what it said."""
    shape = small(case, level)
    torch.manual_seed(0)
    oracle, inputs = case.target.reference(shape).eval(), case.target.inputs(shape)
    before = oracle(*inputs)
    assert before.isfinite().all()
    for _, part in parts_of(oracle):
        for name, table in part.named_buffers(recurse=False):
            if name not in DRAWS.get(case.name, ()):
                spoil(table)
    assert torch.equal(oracle(*inputs), before)


def spoil(table: Tensor) -> None:
    """Make a table useless, in place."""
    if table.dtype == torch.bool:
        table.logical_not_()
    else:
        table.fill_(float("nan") if table.is_floating_point() else 0)


def test_the_tracer_sees_what_is_shared() -> None:
    """A reference that calls what the layer calls is found: the law can fail."""

    class Cheat(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            from attnprof.layers.softmax import attend

            return attend(x, x, x)

        reference = forward

    x = torch.zeros(1, 1, 2, 1)
    shared = traced(lambda: Cheat()(x)) & traced(lambda: Cheat().reference(x))
    assert {function[2] for function in shared} == {"attend", "unfold"}


def test_files_that_may_be_shared_exist() -> None:
    for name in (*LOOK_UP, *AROUND, *GIVEN):
        home = PACKAGE.parent if name.startswith("attnprof") else Path(shipped("patterns")).parent
        assert (home / name).exists()
