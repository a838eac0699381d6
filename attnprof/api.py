"""attnprof from Python: the verbs that the package exports."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from attnprof.contracts import Target
from attnprof.errors import AttnprofError, unknown
from attnprof.records import Shape, Value
from attnprof.targets import catalog
from attnprof.targets.binding import refuse_unbound
from attnprof.words import Device, Layout, Pass

if TYPE_CHECKING:
    from attnprof.counting import Counted
    from attnprof.measure import Outcome


def target(
    name: str | Target,
    *,
    impl: str | None = None,
    layout: Layout | str | None = None,
    runner: str | None = None,
    **parameters: Value,
) -> Target:
    """The target of this name (a scheme, `file.py`, `file.py:Class`, ...), with parameters of its own set.

    Those of a user's code are its constructor's arguments; `layout` says how the axes of its inputs lie. `impl` is what
    computes it (`runner`, its old name, still does). Raises `AttnprofError` for an unknown name, implementation or
    parameter, `Unsupported` for an implementation that cannot compute it. A target is returned as it is.
    """
    if not isinstance(name, str):
        return name
    if catalog.is_code(name):
        return catalog.find(name, arguments=parameters, impl=impl or runner, layout=layout)
    return catalog.find(name, params=parameters, impl=impl or runner, layout=layout)


def count(scheme: str | Target, n: int, pass_: Pass | str = Pass.FORWARD, **sizes: Any) -> Counted:
    """What a target must spend at length n, counted on fake tensors: `.cost`, and `.reasons` for what is missing.

    `pass_` is `forward`, `train` or `decode`. `sizes` are those of a `Shape`: batch, dim, heads, kv_heads, causal,
    level, dtype, depth, seed. FLOPs count a multiply-add as 2; memory is in bytes. Nothing is allocated and no device
    is needed. Raises `AttnprofError` for a word or a size that cannot be.
    """
    from attnprof.counting import count as counted

    asked = Pass(pass_)
    found = target(scheme)
    return counted(found, labelled_shape(found, n, sizes), asked)


def profile(
    scheme: str | Target,
    n: int,
    pass_: Pass | str = Pass.FORWARD,
    *,
    device: Device | str = Device.CPU,
    budget_s: float = 2.0,
    **sizes: Any,
) -> Outcome:
    """What a device does spend on a target at length n: `.measured`, in seconds and bytes, after it passed the gate.

    Runs in this process, on `cpu`, `cuda` or what `auto` finds. Raises `AttnprofError` where the target does not
    compute what its reference does, and for a word or a size that cannot be.
    """
    from attnprof.measure import measure_target
    from attnprof.measure.devices import available

    asked, where = Pass(pass_), available(Device(device))
    if where is Device.NONE:
        raise AttnprofError("nothing can be profiled on the device 'none'", hint="attnprof.count needs no device")
    found = target(scheme)
    shape = labelled_shape(found, n, sizes)
    check(found, n, **sizes)
    return measure_target(found, shape, asked, where, budget_s=budget_s)


def check(scheme: str | Target, n: int, **sizes: Any) -> None:
    """Raise `AttnprofError` where a target is not its reference: forward, gradients, causality, sampled rows at n."""
    from attnprof.measure.gate import check as gate

    found = target(scheme)
    reasons = gate(found, shape_of(found, n, sizes))
    if reasons:
        raise AttnprofError(f"{found.name} does not compute what its reference does: {'; '.join(reasons.values())}")


def analyze(scheme: str | Target, n: int | None = None, **options: Any) -> Mapping[str, Any]:
    """Who reaches whom in a target's pattern at length n (default: the paper's): the metrics of `attnprof graph`."""
    from attnprof.graph import analyze as analysed

    return analysed(target(scheme), n, **options)


def shape_of(found: Target, n: int, sizes: Mapping[str, Any]) -> Shape:
    """A checked shape; the causal setting is the scheme's native one unless given."""
    known = [field.name for field in dataclasses.fields(Shape) if field.name != "n"]
    for name in sizes:
        if name not in known:
            raise unknown("size", name, known)
    return catalog.checked(Shape(n=n, **{"causal": found.card.native_causal, **sizes}))


def labelled_shape(found: Target, n: int, sizes: Mapping[str, Any]) -> Shape:
    """A checked shape. Raises `AttnprofError` for a size that a user's code takes no notice of."""
    shape = shape_of(found, n, sizes)
    refuse_unbound([(found, shape)], sizes, flags=False)
    return shape
