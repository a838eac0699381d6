"""Formulas of dense linear algebra, by the usual operation counts (Golub and Van Loan 2013, Matrix Computations).

Factorizations and solves take a number of steps that the shape tells. Eigenvalues and singular values are found by
iterations; for them the book's customary counts stand, and the certificate says so. Complex numbers cost four times.
"""

from __future__ import annotations

from types import SimpleNamespace

import torch
from torch import Tensor

from attnprof.counting.formulas_matmul import multiply_add
from attnprof.counting.registry import OperatorWork, numel, register, register_by_name

aten = torch.ops.aten
EIGEN = "Symmetric eigenvalues 4/3 k^3, with vectors 9 k^3; others 10 k^3 and 25 k^3 (Golub and Van Loan, 8.3, 7.5)"
SINGULAR = "Singular values 4 k^2 (p - k / 3), with vectors 14 p k^2 + 8 k^3 (Golub and Van Loan, table 8.6.1)"


def scaled(a: Tensor, real: int, divisor: int = 1) -> int:
    """FLOPs of every matrix of a batch, given those of a real one times `divisor`."""
    return numel(a.shape[:-2]) * multiply_add(a) * real // (2 * divisor)


def sides(a: Tensor) -> tuple[int, int]:
    """The longer side p and the shorter side k of a matrix."""
    return max(a.shape[-2:]), min(a.shape[-2:])


def cube(a: Tensor) -> int:
    """k^3 of `[.., k, k]`."""
    return a.shape[-1] * a.shape[-1] * a.shape[-1]


def right_sides(a: Tensor, b: Tensor, left: bool = True) -> int:
    """How many right-hand sides a system has; a vector, or a batch of vectors, is one."""
    if b.dim() == 1 or (b.dim() == a.dim() - 1 and b.shape == a.shape[:-1]):
        return 1
    return b.shape[-1] if left else b.shape[-2]


def substitution(a: Tensor, columns: int, solves: int = 1) -> int:
    """Forward or back substitution in `[.., k, k]`: k^2 a right-hand side and solve."""
    return scaled(a, solves * a.shape[-1] * a.shape[-1] * columns)


@register(aten.linalg_inv_ex)
def inverse(a: Tensor, *_: object, out: object, **__: object) -> int:
    """Inverse of `[.., k, k]`: 2 k^3."""
    return scaled(a, 2 * cube(a))


@register(aten.linalg_cholesky_ex, aten.cholesky, aten.linalg_ldl_factor_ex)
def cholesky(a: Tensor, *_: object, out: object, **__: object) -> int:
    """A symmetric factorization of `[.., k, k]`: k^3 / 3."""
    return scaled(a, cube(a), 3)


@register(aten.cholesky_inverse)
def inverse_of_cholesky(a: Tensor, *_: object, out: object, **__: object) -> int:
    """The inverse from a Cholesky factor: 2 k^3 / 3."""
    return scaled(a, 2 * cube(a), 3)


@register(aten.linalg_lu_factor_ex, aten.linalg_lu, aten._linalg_det, aten._linalg_slogdet)
def lu(a: Tensor, *_: object, out: object, **__: object) -> int:
    """LU factors of `[.., p, k]`, p >= k: k^2 (p - k / 3), 2 k^3 / 3 of a square; determinants are read off."""
    long, short = sides(a)
    return scaled(a, short * short * (3 * long - short), 3)


@register_by_name(aten._linalg_solve_ex)
def solve(given: SimpleNamespace, out: object) -> int:
    """Solve `[.., k, k] x = [.., k, r]` by LU: 2 k^3 / 3 + 2 k^2 r."""
    columns = right_sides(given.A, given.B, given.left)
    return lu(given.A, out=None) + substitution(given.A, columns, 2)


@register_by_name(aten.linalg_lu_solve)
def solve_with_lu(given: SimpleNamespace, out: object) -> int:
    """Two substitutions with LU factors: 2 k^2 a right-hand side."""
    return substitution(given.LU, right_sides(given.LU, given.B, given.left), 2)


@register(aten.linalg_ldl_solve)
def solve_with_ldl(a: Tensor, pivots: Tensor, b: Tensor, *_: object, out: object, **__: object) -> int:
    """Two substitutions with LDL factors."""
    return substitution(a, right_sides(a, b), 2)


@register(aten.cholesky_solve, aten._cholesky_solve_helper)
def solve_with_cholesky(b: Tensor, a: Tensor, *_: object, out: object, **__: object) -> int:
    """Two substitutions with a Cholesky factor."""
    return substitution(a, b.shape[-1], 2)


@register_by_name(aten.linalg_solve_triangular)
def solve_triangular(given: SimpleNamespace, out: object) -> int:
    """One substitution."""
    return substitution(given.self, right_sides(given.self, given.B, given.left))


@register(aten.triangular_solve)
def solve_triangular_swapped(b: Tensor, a: Tensor, *_: object, out: object, **__: object) -> int:
    """One substitution; the right-hand sides come first."""
    return substitution(a, b.shape[-1])


def householder(a: Tensor) -> int:
    """R of `[.., p, k]`, p >= k, by reflections: 2 k^2 (p - k / 3)."""
    long, short = sides(a)
    return scaled(a, 2 * short * short * (3 * long - short), 3)


def explicit_q(a: Tensor, columns: int, reflections: int) -> int:
    """The first columns of the product of r reflections of length p: 4 p q r - 2 (p + q) r^2 + 4 r^3 / 3."""
    p, q, r = a.shape[-2], columns, reflections
    return scaled(a, 12 * p * q * r - 6 * (p + q) * r * r + 4 * r * r * r, 3)


@register(aten.linalg_qr)
def qr(a: Tensor, mode: str = "reduced", *, out: object, **__: object) -> int:
    """Householder QR: R, and the columns of Q that are asked for."""
    rows, short = a.shape[-2], sides(a)[1]
    if mode == "r":
        return householder(a)
    return householder(a) + explicit_q(a, rows if mode == "complete" else short, short)


@register(aten.geqrf)
def reflectors(a: Tensor, *_: object, out: object, **__: object) -> int:
    """R and the reflections that lead to it."""
    return householder(a)


@register(aten.linalg_householder_product)
def q_of_reflectors(a: Tensor, tau: Tensor, *_: object, out: object, **__: object) -> int:
    """Q from the reflections that `geqrf` left."""
    return explicit_q(a, a.shape[-1], tau.shape[-1])


@register_by_name(aten.ormqr)
def applied_reflectors(given: SimpleNamespace, out: object) -> int:
    """r reflections applied to `[.., p, k]`: 4 p k r - 2 k r^2 from the left, p and k in each other's place else."""
    r, (p, k) = given.input2.shape[-1], given.input3.shape[-2:]
    return scaled(given.input3, 4 * p * k * r - 2 * (k if given.left else p) * r * r)


@register(aten.linalg_lstsq)
def least_squares(a: Tensor, b: Tensor, *_: object, out: object, **__: object) -> int:
    """By QR: R, the reflections applied to r right-hand sides, 4 p k - 2 k^2 each, and a substitution, k^2."""
    (long, short), columns = sides(a), right_sides(a, b)
    return householder(a) + scaled(a, columns * (4 * long * short - 2 * short * short + short * short))


@register(aten._linalg_eigh)
def symmetric_eigenvalues(
    a: Tensor, uplo: str = "L", compute_v: bool = True, *_: object, out: object, **__: object
) -> OperatorWork:
    """Eigenvalues of `[.., k, k]`, symmetric, with or without their vectors."""
    return OperatorWork(scaled(a, (27 if compute_v else 4) * cube(a), 3), convention=EIGEN)


@register(aten.linalg_eig)
def eigenvectors(a: Tensor, *_: object, out: object, **__: object) -> OperatorWork:
    """Eigenvalues and vectors of any square matrix."""
    return OperatorWork(scaled(a, 25 * cube(a)), convention=EIGEN)


@register(aten._linalg_eigvals, aten.linalg_eigvals)
def eigenvalues(a: Tensor, *_: object, out: object, **__: object) -> OperatorWork:
    """Eigenvalues alone."""
    return OperatorWork(scaled(a, 10 * cube(a)), convention=EIGEN)


@register(aten._linalg_svd)
def singular_values(
    a: Tensor, full_matrices: bool = False, compute_uv: bool = True, *_: object, out: object, **__: object
) -> OperatorWork:
    """Singular values of `[.., p, k]`, p >= k, with or without vectors; all p of them: 4 p^2 k + 8 p k^2 + 9 k^3."""
    p, k = sides(a)
    if not compute_uv:
        return OperatorWork(scaled(a, 4 * k * k * (3 * p - k), 3), convention=SINGULAR)
    every = 4 * p * p * k + 8 * p * k * k + 9 * k * k * k
    return OperatorWork(
        scaled(a, every if full_matrices and p > k else 14 * p * k * k + 8 * k * k * k), convention=SINGULAR
    )


@register_by_name(aten.linalg_pinv)
def pseudo_inverse(given: SimpleNamespace, out: object) -> OperatorWork:
    """By singular values (eigenvalues where `hermitian`), and one product of the vectors: 2 p k^2."""
    a = given.self
    p, k = sides(a)
    found = symmetric_eigenvalues(a, out=None) if given.hermitian else singular_values(a, out=None)
    return found._replace(flops=found.flops + scaled(a, 2 * p * k * k))


@register(aten._compute_linear_combination)
def linear_combination(x: Tensor, coefficients: Tensor, *_: object, out: object, **__: object) -> int:
    """Tensors `[m, ..]` combined by `[r, m]`: a step of a matrix's exponential."""
    return multiply_add(x) * numel(x.shape) * coefficients.shape[0]
