"""All formulas that ship, loaded together, so that a user's own registration comes after them and wins."""

from attnprof.counting import (
    formulas_attention,
    formulas_carry,
    formulas_chosen,
    formulas_convolution,
    formulas_fft,
    formulas_linalg,
    formulas_lookup,
    formulas_matmul,
    formulas_outside,
    formulas_recurrent,
    formulas_varlen,
)
from attnprof.counting.registry import Formula, OperatorWork, formula_of, formulas, register

SHIPPED = (
    formulas_attention,
    formulas_carry,
    formulas_chosen,
    formulas_convolution,
    formulas_fft,
    formulas_linalg,
    formulas_lookup,
    formulas_matmul,
    formulas_outside,
    formulas_recurrent,
    formulas_varlen,
)

__all__ = ["SHIPPED", "Formula", "OperatorWork", "formula_of", "formulas", "register"]
