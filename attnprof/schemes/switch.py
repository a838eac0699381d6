"""Switch: explicit dense attention, and an FFN of experts for the block (Fedus et al. 2022, section 2)."""

from __future__ import annotations

from attnprof.contracts import Spec
from attnprof.layers.experts import SwitchFeedForward
from attnprof.layers.explicit_core import ExplicitCore, explicit_flops

WIDENING = 4
Core, flops_core = ExplicitCore, explicit_flops


class FeedForward(SwitchFeedForward):
    """The FFN of this scheme's block: experts of four times the model's width."""

    def __init__(self, spec: Spec) -> None:
        shape, factor = spec.shape, spec.params["capacity"]
        assert isinstance(factor, (int, float))
        experts, chosen = spec.number("experts"), spec.number("experts_per_token")
        super().__init__(shape.n, shape.dim, WIDENING * shape.dim, experts, factor, chosen)
