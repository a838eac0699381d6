"""Why a counter's figure is not the exact one: the mistakes that counters are known to make, tried in turn."""

from __future__ import annotations

from dataclasses import dataclass

from attnprof.model import Cost, Shape
from attnprof.words import Pass

SLIGHTLY = 0.05


@dataclass(frozen=True, slots=True)
class Exact:
    """The exact count, taken apart in the ways in which counters go wrong."""

    total: int
    core: int
    fused: int
    fused_dense: int
    fused_unrepeated: int
    other_ops: int
    weights: int

    @classmethod
    def of(cls, cost: Cost, shape: Shape, pass_: Pass) -> Exact:
        """The parts of a counted pass; `fused_dense` is fused attention as if a causal mask skipped nothing."""
        assert cost.flops_executed is not None, "an incomplete count explains nothing"
        counted = cost.certificate.counted if cost.certificate else ()
        fused = sum(op.flops for op in counted if "scaled_dot_product" in op.op)
        forwards = sum(op.calls for op in counted if "scaled_dot_product" in op.op and "backward" not in op.op)
        square = forwards * 4 * shape.batch * shape.heads * shape.n * shape.keys * shape.head_dim
        return cls(
            total=cost.flops_executed,
            core=cost.flops_core_executed or 0,
            fused=fused,
            fused_dense=round(square * (3.5 if pass_ == Pass.TRAIN else 1)) if fused else 0,
            fused_unrepeated=round(fused * 3 / 3.5) if pass_ == Pass.TRAIN else fused,
            other_ops=(cost.exp_ops or 0) + (cost.arith_ops or 0),
            weights=(cost.param_bytes or 0) // shape.dtype.bytes * shape.batch,
        )


def explain(figure: int, exact: Exact) -> tuple[str, str]:
    """`(agrees | differs, why)` for one figure, in FLOPs with multiply-add = 2."""
    if figure == exact.total:
        return "agrees", ""
    for wrong, why in _mistakes(exact):
        if figure == wrong:
            return "differs", why
    return "differs", _roughly(figure, exact)


def _mistakes(exact: Exact) -> list[tuple[int, str]]:
    rest = exact.total - exact.fused
    found = []
    if exact.fused:
        found += [
            (rest, "counts fused attention as nothing"),
            (rest + exact.fused_dense, "counts causal attention as if nothing were skipped"),
            (rest + exact.fused_unrepeated, "leaves out what the fused backward computes again"),
            (rest + round(exact.fused_dense * 3 / 3.5), "counts the whole square, and no recomputation in backward"),
        ]
    return [
        *found,
        (0, "knows none of the operators: it counts modules, and these products are in none that it knows"),
        (exact.total - exact.core, "counts modules that have parameters, and no product between activations"),
        (2 * exact.weights, "counts a linear layer once a sequence, not once a token, and no product of activations"),
        (exact.total // 2, "reports multiply-adds as FLOPs"),
        (2 * exact.total, "counts a multiply-add twice over"),
    ]


def _roughly(figure: int, exact: Exact) -> str:
    extra = figure - exact.total
    share = extra / exact.total
    if 0 < share <= SLIGHTLY or 0 < extra <= 2 * exact.other_ops:
        return f"adds elementwise work (softmax, bias, norms) to the products: {share:+.1%}"
    if extra > 0:
        return f"counts some work more than once (a module's formula on top of the operators in it): {share:+.1%}"
    missing = exact.total - exact.fused - figure
    if exact.fused and abs(missing) <= SLIGHTLY * exact.total:
        return f"counts fused attention as nothing, and elementwise work beside: {share:+.1%}"
    return f"leaves out products that it has no formula for: {share:+.1%}"
