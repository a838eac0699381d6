"""The spectral gap of the random walk, where it means something."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from attnprof.graph.blocked import Blocked
from attnprof.graph.products import is_symmetric, pull, push
from attnprof.graph.stack import Slotted
from attnprof.graph.subject import Facts, Subject
from attnprof.pattern import Slices

LARGEST = 4096
TOLERANCE = 1e-8
SMALL = 256
ROUNDS = 4000


def spectral_gap(subject: Subject) -> Facts:
    """1 - lambda_2 of the walk D^-1 A, and lambda_min; of the symmetrised walk where the mask is not symmetric.

    None under causality, where the eigenvalues are the diagonal 1 / degree and say nothing about mixing.
    """
    found, reason = _walk(subject)
    if found is None:
        return Facts({"spectrum": None}, reasons={"spectrum": reason})
    slices, symmetrised = found
    try:
        second, least, residual = eigenvalues(slices, symmetrised)
    except ArithmeticError as error:
        return Facts({"spectrum": None}, reasons={"spectrum": str(error)})
    values = {
        "gap": 1.0 - second,
        "lambda_2": second,
        "lambda_min": least,
        "symmetrised": symmetrised,
        "residual": residual,
    }
    return Facts({"spectrum": values})


Walk = tuple[Slices, bool]


def _walk(subject: Subject) -> tuple[Walk | None, str]:
    """The relation to walk on: blocks where the mask has them (a blow-up has their eigenvalues, and zeros)."""
    stack = subject.stack
    if stack.causal:
        return None, "causal: the eigenvalues are 1 / degree, and the walk ends in the first token"
    if stack.period > 1:
        return None, "layers differ: a product of walks has no single gap"
    part = stack.parts[0]
    if isinstance(part, Slotted):
        return None, "tokens meet in slots: the walk is the slots' own"
    relation = part.blocks if isinstance(part, Blocked) else part
    if relation.n > LARGEST:
        return None, f"computed up to {LARGEST} nodes (tokens, or blocks of a block-constant mask)"
    if relation.n < 3:
        return None, "fewer than three nodes"
    if bool((relation.out_degree() + relation.in_degree() == 0).any()):
        return None, "some tokens have no edges at all"
    return (relation, not is_symmetric(relation)), ""


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
