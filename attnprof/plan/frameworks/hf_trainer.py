"""Transformers' Trainer: 6 · tokens · (parameters outside embeddings).

Source: transformers 5.24, trainer.py:4224 `floating_point_ops`, which asks `num_parameters(exclude_embeddings=True)`.
"""

from __future__ import annotations

from fractions import Fraction

from attnprof.models.architecture import Architecture
from attnprof.plan.frameworks.estimate import FormulaSource, FrameworkEstimate, reasons_of

SOURCE = FormulaSource("Transformers Trainer", "5.24", "trainer.py:4224 floating_point_ops")


def estimate(model: Architecture, n: int) -> FrameworkEstimate:
    """Six a parameter, whatever n is."""
    return FrameworkEstimate(
        source=SOURCE,
        core=Fraction(0),
        total=Fraction(6 * (model.params - model.embedding_params)),
        reasons=reasons_of(
            (True, "no attention core at all"),
            (model.params != model.active_params, "every expert is counted as if each token met it"),
            (model.tied, "the head is dropped with the embedding that it is tied to"),
        ),
    )
