"""One target and its shape from the options of a command that costs without measuring."""

from __future__ import annotations

from collections.abc import Sequence

from attnprof.cli.options import Options, explicit, shape_of, usage_of
from attnprof.contracts import Target
from attnprof.errors import unknown
from attnprof.naming import distinguished
from attnprof.shapes import Shape, checked
from attnprof.sweeps.points import label, settings_of
from attnprof.targets import catalog, door
from attnprof.targets.binding import FLAGS, refuse_unbound
from attnprof.usercode import fitted, labels_of

SIZES = ("batch", "dim", "heads", "kv_heads", "head_dim", "v_head_dim", "m", "level", "dtype", "depth", "seed")


def asked_target(name: str, options: Options) -> Target:
    """The target that the command line names, with its `--set` and `--impl`, and how it is made and called."""
    settings = settings_of(options["settings"], (name,))
    for owner in settings:
        if owner != label(name):
            raise unknown("target in --set", owner, [label(name)])
    return door.find(
        name,
        params=settings.get(label(name), {}),
        impl=options["impl"],
        usage=usage_of(options, options.get("targets") or (name,)),
        name=distinguished(options.get("targets") or (name,), catalog.names()).get(name),
    )


def refuse_untaken(names: Sequence[str], options: Options) -> None:
    """Raise `AttnprofError` for a size that was typed, where all targets are a user's code and none takes it."""
    typed = set(options["explicit"]) & set(FLAGS)
    if typed and all(door.is_code(name) for name in names):
        targets = [asked_target(name, options) for name in names]
        refuse_unbound([(target, asked_shape(target, 1, options)) for target in targets], sorted(typed))


def asked_shape(target: Target, n: int, options: Options) -> Shape:
    """The shape at length n; without `--causal` or `--no-causal` the target's native setting."""
    causal = target.card.native_causal if options["causal"] is None else options["causal"]
    shape = shape_of(n, causal=causal, **{name: options[name] for name in SIZES})
    shape = checked(fitted(target, shape, explicit()))
    _, unknown = labels_of(target, shape)
    shape = shape.replace(drafts=options.get("drafts", 1))
    return shape.replace(causal=False) if "causal" in unknown else shape
