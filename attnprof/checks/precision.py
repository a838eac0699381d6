"""Precision: bfloat16 and float16 beside float64, logits that are large, and what may not be finite."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from attnprof.checks.examined import Asked, Examined
from attnprof.checks.finding import Finding
from attnprof.graph.probe import Choices
from attnprof.words import Severity

LOW = (torch.bfloat16, torch.float16)
FAR = 0.25  # of the root mean square: beyond what rounded numbers of 8 bits explain, and a few other choices of a top-k
LARGE = 1e3
NAMES = {torch.bfloat16: "bfloat16", torch.float16: "float16", torch.float32: "float32"}


def look(examined: Examined) -> Iterator[Finding]:
    """Defects where an output is not finite, or far from float64; a warning where a precision is refused."""
    exact = examined.asked()
    if not torch.isfinite(exact.run()).all():
        yield Finding(
            "output_not_finite",
            Severity.DEFECT,
            f"its output is not finite for random inputs at n = {exact.n}",
            evidence={"not_finite": int((~torch.isfinite(exact.run())).sum())},
            advice="a query that may read nothing needs a key, or a zero in place of its softmax",
        )
        return
    for dtype in LOW:
        yield from _low(examined, dtype)
    yield from _large(examined)


def _low(examined: Examined, dtype: torch.dtype) -> Iterator[Finding]:
    name = NAMES[dtype]
    try:
        rounded = examined.asked(dtype=dtype)
        out = rounded.run()
    except (RuntimeError, ValueError, TypeError) as error:
        why = str(error).splitlines()[0][:200]
        missing = "not implemented" in why
        yield Finding(
            "low_precision_refused",
            Severity.NOTE if missing else Severity.WARNING,
            f"it does not run in {name}: {why}",
            evidence={"dtype": name},
            advice="a kernel of this device lacks it"
            if missing
            else "fill with torch.finfo(x.dtype).min, not -1e9; make tables in x.dtype, not float32",
        )
        return
    exact = rounded.to(examined.widest).run()
    if not torch.isfinite(out).all():
        yield _not_finite(name, "random inputs of unit size", out)
    elif out.dtype is dtype and (far := apart(out, exact)) > FAR:
        choices = Choices()
        with choices:
            rounded.run()
        chosen = "; it picks by its values, and rounded ones may pick others" if choices.picked else ""
        yield Finding(
            "low_precision_far",
            Severity.WARNING if chosen else Severity.DEFECT,
            f"in {name} its output is {far:.0%} away from float64 with the same weights, root mean square{chosen}",
            evidence={"dtype": name, "off": far},
            advice="sum in float32: softmax(dtype=torch.float32), cumulative sums and normalisers above all",
        )


def apart(got: Tensor, wanted: Tensor) -> float:
    """The root mean square of the differences, as a share of that of what is wanted."""
    return float((got.double() - wanted).square().mean().sqrt()) / max(float(wanted.square().mean().sqrt()), 1e-30)


def _large(examined: Examined) -> Iterator[Finding]:
    """Inputs a thousand times as large, in float32; what float64 cannot do with them is nobody's fault."""
    asked = examined.asked(dtype=torch.float32)
    inputs = tuple(map(_loud, asked.inputs, asked.streams))
    out = asked.run(inputs)
    if not torch.isfinite(out).all() and _bounded(examined.asked()):
        yield _not_finite("float32", f"inputs {LARGE:g} times as large", out)


def _bounded(asked: Asked) -> bool:
    """Whether float64 gives something finite for inputs ten times as large: it is no matter of mere size."""
    return bool(
        torch.isfinite(
            asked.run(tuple(_loud(x, s, 10) for x, s in zip(asked.inputs, asked.streams, strict=True)))
        ).all()
    )


def _loud(x: object, stream: bool, times: float = LARGE) -> object:
    return x * times if isinstance(x, Tensor) and stream and x.is_floating_point() else x


def _not_finite(name: str, of: str, out: Tensor) -> Finding:
    return Finding(
        "overflow",
        Severity.DEFECT,
        f"in {name} its output is not finite for {of}",
        evidence={"dtype": name, "not_finite": int((~torch.isfinite(out)).sum()), "of": out.numel()},
        advice="take the largest logit off before exp (softmax and logsumexp do), and mask with finfo.min",
    )
