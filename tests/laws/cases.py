"""The catalogue as cases of the laws: every scheme with maths, small enough to cross its own block at n = 100."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache

import pytest
import torch
from torch import Tensor, nn

from attnprof.pattern import numbers
from attnprof.shapes import Shape
from attnprof.targets import catalog, door
from attnprof.targets.scheme import CatalogTarget
from attnprof.units import Value

HEADS = 2


def small(name: str) -> dict[str, Value]:
    """Parameters that make several blocks of a hundred tokens: the first of a scheme's examples."""
    return dict(catalog.entry(name).examples[0])


def variants(name: str) -> list[dict[str, Value]]:
    """What a scheme's other examples set otherwise than the first, as far as two heads can have it."""
    entry, first = catalog.entry(name), small(name)
    fitting = [example for example in entry.examples[1:] if _is_for_two_heads(entry, example)]
    full = [{**{param: entry.defaults[param] for param in first}, **example} for example in fitting]
    return [{k: v for k, v in each.items() if k not in first or first[k] != v} for each in full]


def _is_for_two_heads(entry: catalog.Entry, example: Mapping[str, Value]) -> bool:
    return all(len(numbers(str(v))) <= HEADS for name, v in example.items() if entry.params[name].by_head)


def is_quadratic(name: str) -> bool:
    """Whether work or memory grows as n^2 by design; where data select blocks, only the work on blocks does."""
    growth = catalog.card(name).growth
    return growth == 2 or (growth is None and not catalog.card(name).data_dependent)


@dataclass(frozen=True)
class Case:
    """A scheme with parameters, an implementation and a causal setting."""

    name: str
    causal: bool
    params: dict[str, Value] = field(default_factory=dict)
    impl: str | None = None

    @property
    def target(self) -> CatalogTarget:
        """The target, at small parameters."""
        found = door.find(self.name, params={**small(self.name), **self.params}, impl=self.impl)
        assert isinstance(found, CatalogTarget)
        return found

    def shape(self, n: int, dtype: str = "float64", **sizes: int) -> Shape:
        """Two sequences of width 16 in two heads, unless told otherwise."""
        return Shape(**{"n": n, "batch": 2, "dim": 16, "heads": HEADS, "causal": self.causal, "dtype": dtype, **sizes})  # type: ignore[arg-type]

    def __str__(self) -> str:
        settings = ",".join(f"{k}={v}" for k, v in self.params.items())
        parts = (self.name, settings, self.impl, "causal" if self.causal else "both-ways")
        return "-".join(part for part in parts if part)


@cache
def executable() -> tuple[str, ...]:
    """The schemes whose maths is written, each once."""
    return catalog.distinct_schemes()


@cache
def recurrent() -> tuple[str, ...]:
    """The linear recurrences among them: what reads the past through a state of one size."""
    return tuple(name for name in executable() if catalog.card(name).survey_class == "linear recurrence")


def cases(varied: bool = True) -> list[Case]:
    """Every executable scheme in every causal setting and variant, and patterns by gather and masked."""
    return list(_cases(varied))


@cache
def _cases(varied: bool) -> tuple[Case, ...]:
    found = []
    for name in executable():
        for params in [{}, *(variants(name) if varied else [])]:
            card = catalog.entry(name).card
            impls = [impl for impl in catalog.able(name, card) if impl in ("gather", "masked")] or [None]
            found += [Case(name, causal, params, impl) for causal in card.causality for impl in impls]
    return tuple(found)


def as_params(found: list[Case], further: bool = True) -> list[object]:
    """Cases with readable ids; without `further` the slow tests have all but the first example of each scheme."""
    return [
        pytest.param(case, id=str(case), marks=[] if further or not _is_further(case) else [pytest.mark.slow])
        for case in found
    ]


def at_lengths(found: list[Case], lengths: tuple[int, ...], long: int = 1000) -> list[object]:
    """Every case at every length; slow tests: 1000 tokens, and from `long` on all but the first example of a scheme."""
    return [
        pytest.param(
            case,
            n,
            id=f"{case}-{n}",
            marks=[pytest.mark.slow] if n >= 1000 or (n >= long and _is_further(case)) else [],
        )
        for case in found
        for n in lengths
    ]


def _is_further(case: Case) -> bool:
    return bool(case.params) or case.impl == "masked"


def built(case: Case, shape: Shape) -> tuple[nn.Module, nn.Module, tuple[Tensor, ...]]:
    """The module, its reference with the same parameters, and inputs, from a fixed seed, in evaluation mode."""
    torch.manual_seed(shape.n)
    module, reference = case.target.build(shape).eval(), case.target.reference(shape).eval()
    reference.load_state_dict(module.state_dict())
    return module, reference, case.target.inputs(shape)


def gradients(module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, list[Tensor]]:
    """The output, and the gradients of every input and parameter (zeros where one has no part in it)."""
    leaves = [x.detach().clone().requires_grad_(x.is_floating_point()) for x in inputs]
    out = module(*leaves)
    scattered = torch.arange(out.numel(), dtype=torch.float64).mul(12.9898).sin()
    out.backward(scattered.to(out.dtype).reshape(out.shape))
    tensors = [t for t in (*leaves, *module.parameters()) if t.requires_grad]
    return out.detach(), [torch.zeros_like(t) if t.grad is None else t.grad for t in tensors]
