"""What `attnprof cost` answers of one target: rows of certified numbers, closed forms, what the peak is made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from attnprof.contracts import Target
from attnprof.errors import Unsupported
from attnprof.plan.count_cache import CountCache
from attnprof.quantities import costed
from attnprof.records import Point, plain
from attnprof.shapes import Shape
from attnprof.usercode import call_of_code, causality_seen, labels_of
from attnprof.words import DeviceName, Pass


@dataclass(frozen=True)
class CostQuestion:
    """A target at several lengths and passes; `cache` is None where its code cannot be hashed."""

    target: Target
    shape: Shape
    lengths: Sequence[int]
    passes: Sequence[Pass]
    cache: CountCache | None = None
    sizes: tuple[str, ...] = ()
    source: str | None = None

    def about(self, kind: str, shape: Shape, **more: Any) -> dict[str, Any]:
        """What one answer depends on, beside the code."""
        target = self.target
        named = {"target": target.name, "runner": target.runner, "parameters": dict(target.parameters)}
        return {"kind": kind, **named, "shape": plain(shape), **more}

    def remembered(self, about: Any, make: Any) -> Any:
        """An answer from the cache, if there is one."""
        return make() if self.cache is None else self.cache.get(about, make)


def table(question: CostQuestion) -> list[dict[str, Any]]:
    """One row a length and pass; a combination that the scheme does not define has a reason in place of numbers."""
    return [row(question, n, pass_) for n in question.lengths for pass_ in question.passes]


def row(question: CostQuestion, n: int, pass_: Pass) -> dict[str, Any]:
    """The row of one length and pass."""
    shape = question.shape.replace(n=n)
    about = question.about("row", shape, pass_=pass_)
    counted = question.remembered(about, lambda: _counted(question.target, shape, pass_))
    seen = causality_seen(counted["flags"])
    causal = seen if "causal" in labels_of(question.target, shape)[1] else shape.causal
    head = {"n": n, "pass": pass_, "runner": question.target.runner, "causal": causal}
    return {
        **head,
        **{quantity.key: quantity.of_cost(counted["cost"]) for quantity in costed()},
        **{name: counted["cost"].get(name) for name in ("method", "certificate")},
        **{k: counted[k] for k in ("reasons", "flags")},
    }


def _counted(target: Target, shape: Shape, pass_: Pass) -> dict[str, Any]:
    from attnprof.counting.counted import count

    try:
        return plain(count(target, shape, pass_))
    except Unsupported as error:
        why = f"{error.message}; {error.hint}" if error.hint else error.message
        return {"cost": {}, "reasons": {"cost": why}, "flags": ["unsupported"]}


def forms(question: CostQuestion, make: Callable[[], dict[str, Any]] | None = None) -> dict[str, Any]:
    """The closed forms as plain text and LaTeX, how they were derived, and the verdict on the paper's claim."""
    return question.remembered(_about_forms(question), make or (lambda: forms_of(question)))


def known_forms(question: CostQuestion) -> bool:
    """Whether the cache has the closed forms, or has to say that it does not."""
    return question.cache is not None and (question.cache.complete or question.cache.has(_about_forms(question)))


def _about_forms(question: CostQuestion) -> dict[str, Any]:
    return question.about("forms", question.shape.replace(n=1), sizes=question.sizes)


def forms_of(question: CostQuestion) -> dict[str, Any]:
    """The closed forms, derived now."""
    return _forms(question.target, question.shape.replace(n=max(question.lengths)), question.sizes)


def _forms(target: Target, shape: Shape, sizes: tuple[str, ...]) -> dict[str, Any]:
    from attnprof.closed_forms.derive import closed_forms
    from attnprof.closed_forms.growth import growth, verdict

    found = closed_forms(target, shape, sizes=sizes)
    core = found.forms.get("forward_core")
    follows = core is not None and any(target.parameters.get(name, 0) is None for name in core.names)
    order = growth(target, shape, "forward_core").order if follows else None
    claim = target.card.complexity or target.card.complexity_ours
    return {
        "closed_forms": found.to_json(),
        "latex": {name: form.latex for name, form in found.forms.items()},
        "bytes": {name: found.forms[name].text for name in ("param_bytes", "state_bytes") if name in found.forms},
        "methods": {name: form.method for name, form in found.forms.items()},
        "valid": {name: form.valid for name, form in found.forms.items()},
        "held": {name: dict(form.at) for name, form in found.forms.items()},
        "why": found.missing or found.why,
        "claimed": claim or None,
        "verdict": verdict(claim, found.forms, order),
    }


def peak_parts(question: CostQuestion, n: int, pass_: Pass) -> Mapping[str, int]:
    """What memory holds at the peak of one pass, part by part."""
    from attnprof.plan.waterfall import waterfall

    shape = question.shape.replace(n=n)
    about = question.about("waterfall", shape, pass_=pass_)
    return question.remembered(about, lambda: plain(waterfall(question.target, shape, pass_)))


def module_flops(question: CostQuestion, n: int, pass_: Pass) -> Mapping[str, int]:
    """FLOPs of each submodule of one pass."""
    from attnprof.plan.by_module import flops_by_module

    shape = question.shape.replace(n=n)
    about = question.about("modules", shape, pass_=pass_)
    return question.remembered(about, lambda: flops_by_module(question.target, shape, pass_))


def point(question: CostQuestion) -> dict[str, Any]:
    """The point that all rows share, at the first length."""
    shape = question.shape.replace(n=question.lengths[0])
    target = question.target
    params = target.resolve(shape.n)
    _, unknown = labels_of(target, shape)
    return Point(
        target.name,
        shape,
        question.passes[0],
        DeviceName.NONE,
        target.runner,
        target.layers,
        params,
        source=question.source,
        unknown=unknown,
        call=call_of_code(target, shape),
    ).to_json()
