"""All formulas that ship, loaded together, so that a user's own registration comes after them and wins."""

from attnprof.cost import formulas_attention, formulas_fft, formulas_matmul
from attnprof.cost.registry import Formula, Work, formula_of, formulas, register

SHIPPED = (formulas_attention, formulas_fft, formulas_matmul)

__all__ = ["SHIPPED", "Formula", "Work", "formula_of", "formulas", "register"]
