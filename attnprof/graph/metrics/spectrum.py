"""The spectral gap of the random walk that uniform attention is, where it means something."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from attnprof.graph.products import is_symmetric, pull, push
from attnprof.graph.subject import Facts, Subject
from attnprof.graph.walks import Walk
from attnprof.pattern import Slices

LARGEST = 4096
TOLERANCE = 1e-8
SMALL = 256
ROUNDS = 4000
SMALL_MEAN = 1024
ROUNDS_MEAN = 200


def spectral_gap(subject: Subject) -> Facts:
    """1 - lambda_2 of the walk mean_h D_h^-1 A_h, and lambda_min.

    Where all heads are alike, of D^-1 A, symmetrised where the mask is not symmetric. Where they differ no walk of one
    mask says it, and eigenvalues may be complex: the second largest and the least real part. None under causality,
    where the eigenvalues are the diagonal 1 / degree and say nothing about mixing.
    """
    relation, reason = _relation(subject)
    if relation is None:
        return Facts({"spectrum": None}, reasons={"spectrum": reason})
    kinds = len(subject.layer_kinds[0].heads)
    symmetrised = kinds == 1 and not is_symmetric(relation)
    try:
        found = eigenvalues(relation, symmetrised) if kinds == 1 else mean_eigenvalues(subject.stack.walk(1))
    except ArithmeticError as error:
        return Facts({"spectrum": None}, reasons={"spectrum": str(error)})
    second, least, residual = found
    if relation.n < subject.n:  # the other eigenvalues of a blow-up are zero
        second, least = max(second, 0.0), min(least, 0.0)
    values = {
        "gap": 1.0 - second,
        "lambda_2": second,
        "lambda_min": least,
        "symmetrised": symmetrised,
        "head_kinds": kinds,
        "residual": residual,
    }
    return Facts({"spectrum": values})


def _relation(subject: Subject) -> tuple[Slices | None, str]:
    """The edges of the walk, heads united, on blocks where the mask has them: a blow-up has their eigenvalues."""
    stack = subject.stack
    if stack.causal:
        return None, "causal: the eigenvalues are 1 / degree, and the walk ends in the first token"
    if stack.period > 1:
        return None, "layers differ: a product of walks has no single gap"
    part = stack.parts[0]
    if part.ways is not None:
        return None, "tokens meet in slots: the walk is the slots' own"
    relation = part.quotient if stack.walk(1).size > 1 else stack.tokens[0]
    if relation.n > LARGEST:
        return None, f"computed up to {LARGEST} nodes (tokens, or blocks of a block-constant mask)"
    if relation.n < 3:
        return None, "fewer than three nodes"
    if bool((relation.out_degree() + relation.in_degree() == 0).any()):
        return None, "some tokens have no edges at all"
    return relation, ""


def mean_eigenvalues(walk: Walk) -> tuple[float, float, float]:
    """Second largest and least real part of the eigenvalues of a walk over several kinds of heads, and the residual.

    Of the walk between its blocks, where it has some. Raises `ArithmeticError` where the iteration does not converge.
    """
    n = walk.n // walk.size

    def apply(x: np.ndarray) -> np.ndarray:
        """The transpose of the walk, which has its eigenvalues."""
        flat = np.asarray(x, dtype=np.float64).ravel()
        return walk.steps.push(flat) * walk.size if walk.size > 1 else walk.down(flat[None])[0]

    if n <= SMALL_MEAN:
        values = np.sort(np.linalg.eigvals(np.stack([apply(row) for row in np.eye(n)])).real)
        return float(values[-2]), float(values[0]), 0.0
    return _iterated_mean(lambda x: _signed(apply, x), n)


def _signed(apply: Callable[[np.ndarray], np.ndarray], x: np.ndarray) -> np.ndarray:
    """A map that takes weights of at least 0 alone, of any vector."""
    flat = np.asarray(x, dtype=np.float64).ravel()
    return apply(np.maximum(flat, 0.0)) - apply(np.maximum(-flat, 0.0))


def _iterated_mean(apply: Callable[[np.ndarray], np.ndarray], n: int) -> tuple[float, float, float]:
    from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigs

    operator = LinearOperator((n, n), matvec=apply, dtype=np.float64)  # pyright: ignore[reportCallIssue]
    settings = {"v0": np.random.default_rng(0).standard_normal(n), "maxiter": ROUNDS_MEAN}
    try:
        found = eigs(operator, k=3, which="LR", tol=TOLERANCE, **settings)  # pyright: ignore[reportArgumentType]
        least = eigs(operator, k=1, which="SR", tol=1e-4, return_eigenvectors=False, **settings)  # pyright: ignore[reportArgumentType]
    except ArpackNoConvergence as error:
        raise ArithmeticError(f"no convergence within {ROUNDS_MEAN} rounds: the gap is too small to resolve") from error
    values, vectors = np.asarray(found[0]), np.asarray(found[1])
    second = int(np.argsort(np.real(values))[-2])
    vector = vectors[:, second]
    product = operator.matvec(np.real(vector)) + 1j * operator.matvec(np.imag(vector))
    residual = float(np.linalg.norm(product - values[second] * vector))
    return float(np.real(values[second])), float(np.real(least[0])), residual


def eigenvalues(slices: Slices, symmetrised: bool = False) -> tuple[float, float, float]:
    """The second largest and the least eigenvalue of the walk on A (or (A + A^T) / 2), and the residual reached.

    Raises `ArithmeticError` where the iteration does not converge.
    """
    n = slices.n
    degree = slices.out_degree().astype(np.float64)
    if symmetrised:
        degree = (degree + slices.in_degree()) / 2
    scale = 1.0 / np.sqrt(degree)

    def apply(x: np.ndarray) -> np.ndarray:
        flat = np.asarray(x, dtype=np.float64).ravel() * scale
        out = (pull(slices, flat) + push(slices, flat)) / 2 if symmetrised else pull(slices, flat)
        return out * scale

    if n <= SMALL:
        matrix = np.stack([apply(row) for row in np.eye(n)])
        values = np.linalg.eigvalsh((matrix + matrix.T) / 2)
        return float(values[-2]), float(values[0]), 0.0
    return _iterated(apply, n)


def _iterated(apply: Callable[[np.ndarray], np.ndarray], n: int) -> tuple[float, float, float]:
    from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh

    operator = LinearOperator((n, n), matvec=apply, dtype=np.float64)  # pyright: ignore[reportCallIssue]
    start = np.random.default_rng(0).standard_normal(n)
    settings = {"v0": start, "maxiter": ROUNDS}
    try:
        values, vectors = eigsh(operator, k=2, which="LA", tol=TOLERANCE, **settings)  # pyright: ignore[reportArgumentType]
        least = eigsh(operator, k=1, which="SA", tol=1e-4, return_eigenvectors=False, **settings)  # pyright: ignore[reportArgumentType]
    except ArpackNoConvergence as error:
        raise ArithmeticError(f"no convergence within {ROUNDS} rounds: the gap is too small to resolve") from error
    second = int(np.argmin(values))
    residual = float(np.linalg.norm(operator.matvec(vectors[:, second]) - values[second] * vectors[:, second]))
    return float(values[second]), float(least[0]), residual
