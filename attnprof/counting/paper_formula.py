"""What the paper's formula says of a pass, or why it says nothing."""

from __future__ import annotations

from attnprof.contracts import SchemeTarget, Target
from attnprof.counting.useful import BACKWARD
from attnprof.shapes import Shape
from attnprof.words import Pass

OF_MODULE = "a module comes with no paper's formula"
OF_SCHEME = "the paper states no formula for it"
OF_FILE = "its pattern file states no formula: it would define `flops_paper(n, *, dim, ...)`"
OF_WIDTH = "the paper's formula is for values as wide as keys"
OF_STEP = "the paper's formula is of a whole pass, not of one token more"


def paper_flops(target: Target, shape: Shape, pass_: Pass) -> tuple[int | None, str]:
    """The paper's formula for the core of one pass of the whole stack, batch included; or why there is none.

    Papers count a forward: `train` is three times that, a backward being two products for each; `decode` is one token
    more, or as many as there are drafts, where the formula is stated for it.
    """
    if not isinstance(target, SchemeTarget):
        return None, OF_MODULE
    forward = target.flops_paper(shape)
    if forward is None and shape.d_v != shape.d:
        return None, OF_WIDTH
    if forward is None:
        return None, OF_SCHEME if target.card.bib else OF_FILE
    if pass_ == Pass.DECODE:
        steps = [target.flops_paper_step(shape.replace(n=shape.n + more)) for more in range(shape.drafts)]
        known = [step for step in steps if step is not None]
        return (sum(known), "") if len(known) == len(steps) else (None, OF_STEP)
    return forward * (1 + BACKWARD) if pass_ == Pass.TRAIN else forward, ""
