"""Frameworks' figures beside the exact ones: of the core, of the whole model, their ratios, and the sentences why."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from attnprof.models.architecture import Architecture
from attnprof.models.work import model_pair_work, model_token_work
from attnprof.plan.frameworks import FORMULAS
from attnprof.plan.frameworks.estimate import FrameworkEstimate


@dataclass(frozen=True, slots=True)
class ExactFigures:
    """Exact FLOPs of one token of a sequence of n, on average over it: of the core, and all of them with it.

    An indexer's scores are in the total. Training is three times the forward.
    """

    n: int
    core: Fraction
    total: Fraction

    @property
    def trained(self) -> ExactFigures:
        """Those of a training step."""
        return ExactFigures(self.n, 3 * self.core, 3 * self.total)


@dataclass(frozen=True, slots=True)
class FrameworkRow:
    """One framework at one length, beside the exact figures of the pass that it counts."""

    estimate: FrameworkEstimate
    exact: ExactFigures

    @property
    def core_ratio(self) -> float | None:
        """Its core over the exact one."""
        return _ratio(self.estimate.core, self.exact.core)

    @property
    def total_ratio(self) -> float | None:
        """Its total over the exact one."""
        return _ratio(self.estimate.total, self.exact.total)


def _ratio(theirs: Fraction | None, exact: Fraction) -> float | None:
    return None if theirs is None or not exact else float(theirs / exact)


def exact_figures(model: Architecture, n: int) -> ExactFigures:
    """The forward of n tokens, a token's share."""
    between = model_pair_work(model, n)
    core = Fraction(between.useful, n)
    return ExactFigures(n, core, model_token_work(model).active + core + Fraction(between.index, n))


def framework_rows(model: Architecture, n: int) -> list[FrameworkRow]:
    """Every framework at this length."""
    forward = exact_figures(model, n)
    estimates = [formula(model, n) for formula in FORMULAS]
    return [FrameworkRow(each, forward if each.forward else forward.trained) for each in estimates]
