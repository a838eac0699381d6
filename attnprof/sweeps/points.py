"""From what was asked to the points to cost, without torch."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version

from attnprof.contracts import Target
from attnprof.errors import AttnprofError, Unsupported
from attnprof.naming import distinguished, short_name
from attnprof.pattern import Card
from attnprof.records import BASELINES, JsonDict, JsonObject, Point, content_hash, plain, revive
from attnprof.shapes import Shape, checked
from attnprof.sweeps.preset import by_length
from attnprof.targets import catalog, door, sources
from attnprof.targets.binding import refuse_unbound
from attnprof.targets.usage import Usage
from attnprof.units import Value
from attnprof.usercode import call_of_code, fitted, labels_of
from attnprof.words import DeviceName, Impl, Pass, Preset

DEFAULT_PASSES = (Pass.FORWARD, Pass.TRAIN)


@dataclass(frozen=True, slots=True)
class SweepRequest:
    """What a sweep was asked for. `targets` empty: every scheme of the catalogue whose maths is written.

    `both_masks`: what has a causal form and one that is not is costed in both.
    """

    lengths: tuple[int, ...]
    targets: tuple[str, ...] = ()
    shape: Shape = field(default_factory=lambda: Shape(n=1))
    causal: bool | None = None
    both_masks: bool = False
    passes: tuple[Pass, ...] = DEFAULT_PASSES
    impl: Impl | str | None = None
    device: DeviceName = DeviceName.CPU
    tokens: int | None = None
    settings: Mapping[str, Mapping[str, Value]] = field(default_factory=dict)
    usage: Usage = field(default_factory=Usage)
    preset: Preset | None = None

    def __post_init__(self) -> None:
        if self.both_masks and self.causal is not None:
            raise AttnprofError(
                f"--both-masks and --{'' if self.causal else 'no-'}causal contradict each other", hint="leave one out"
            )
        object.__setattr__(self, "passes", Pass.distinct(self.passes))
        object.__setattr__(self, "device", DeviceName(self.device))
        object.__setattr__(self, "impl", None if self.impl is None else Impl(self.impl))
        object.__setattr__(self, "preset", None if self.preset is None else Preset(self.preset))

    def to_json(self) -> dict[str, object]:
        """The plain form that names the run's folder and stands in its header."""
        return {**dataclasses.asdict(self), "shape": dataclasses.asdict(self.shape)}

    @classmethod
    def from_json(cls, data: JsonObject) -> SweepRequest:
        """The request that `to_json` wrote, once it has been JSON."""
        several = {name: tuple(data[name]) for name in ("lengths", "targets", "passes")}
        return cls(**{**data, **several, "shape": Shape(**data["shape"]), "usage": Usage.from_json(data["usage"])})


@dataclass(frozen=True, slots=True)
class PlannedPoint:
    """One point to do, under the key of its record, with flags that are known beforehand."""

    key: str
    point: Point
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TargetPoints:
    """All points of one target, for one child process: how to find the target there, and the points, short first.

    `target` is what finds it, `card` what is known of it; records call it by the name of its points.
    """

    target: str
    params: Mapping[str, Value]
    impl: str | None
    usage: Usage
    points: tuple[PlannedPoint, ...]
    card: Card | None = None

    @property
    def name(self) -> str:
        """What records call the target."""
        return self.points[0].point.target

    def opening(self) -> JsonDict:
        """The request that makes a child find this target."""
        return {
            "do": "open",
            "name": self.points[0].point.target if self.points else None,
            "target": self.target,
            "params": dict(self.params),
            "impl": self.impl,
            "usage": self.usage.to_json(),
        }

    def to_json(self) -> JsonDict:
        """The plain form, for another process or machine."""
        points = [{"key": p.key, "point": p.point.to_json(), "flags": list(p.flags)} for p in self.points]
        opening = {name: value for name, value in self.opening().items() if name not in ("do", "name")}
        return {**opening, "points": points, "card": plain(self.card)}

    @classmethod
    def from_json(cls, data: JsonObject) -> TargetPoints:
        """The job that `to_json` wrote."""
        points = tuple(PlannedPoint(p["key"], Point.from_json(p["point"]), tuple(p["flags"])) for p in data["points"])
        usage, card = Usage.from_json(data["usage"]), data.get("card")
        found = None if card is None else revive(Card, card)
        return cls(data["target"], data["params"], data["impl"], usage, points, found)


def plan(ask: SweepRequest, explicit: Sequence[str] = ()) -> tuple[TargetPoints, ...]:
    """The jobs of a sweep. Raises `AttnprofError` for anything that cannot be used, before a process starts.

    `explicit` are the sizes that were asked for in so many words: one that no target takes is refused.
    """
    checked(ask.shape.replace(n=min(ask.lengths)))
    names = ask.targets or catalog.distinct_schemes()
    for name in ask.settings:
        if name not in map(label, names):
            raise AttnprofError(
                f"--set names {name!r}, which is not a target of this sweep", hint=f"targets: {', '.join(names)}"
            )
    forms = [(name, params, lengths) for name in dict.fromkeys(names) for params, lengths in _parameters(ask, name)]
    called = distinguished((name for name, *_ in forms), catalog.names())
    found = [(name, params, lengths, _target(ask, name, params, called[name])) for name, params, lengths in forms]
    refuse_unbound([(target, ask.shape) for *_, target in found], explicit)
    shapes = [checked(fitted(target, ask.shape, explicit)) for *_, target in found]
    native = {target.card.native_causal for *_, target in found}
    return tuple(
        _job(dataclasses.replace(ask, shape=shape), name, params, lengths, target, _causal(ask, target, native))
        for (name, params, lengths, target), shape in zip(found, shapes, strict=True)
    )


def _target(ask: SweepRequest, text: str, params: Mapping[str, Value], name: str) -> Target:
    found = partial(door.find, text, params=params, usage=ask.usage, name=name)
    try:
        return found(impl=ask.impl)
    except Unsupported:
        if len(ask.targets) == 1:
            raise
        return found()


def _parameters(ask: SweepRequest, name: str) -> list[tuple[dict[str, Value], tuple[int, ...]]]:
    """The parameters set for a target, and the lengths that they hold for: one set, unless a preset has more."""
    given = dict(ask.settings.get(label(name), {}))
    if ask.preset is None:
        return [(given, ask.lengths)]
    sets: dict[str, tuple[dict[str, Value], tuple[int, ...]]] = {}
    for n in ask.lengths:
        params = {**by_length(name, n), **given}
        sets[str(params)] = (params, (*sets.get(str(params), ({}, ()))[1], n))
    return list(sets.values())


def _causal(ask: SweepRequest, target: Target, native: set[bool]) -> tuple[bool, ...]:
    """The causal settings of a target: as asked, else its own; a baseline has those of all that it is compared with.

    Both, where both are asked for and the target has them.
    """
    if ask.causal is not None:
        return (ask.causal,)
    own = target.card.native_causal
    others = [not own] if ask.both_masks else sorted(native - {own}) if target.name in BASELINES else []
    return (own, *(causal for causal in others if causal in target.card.causality))


def _job(
    ask: SweepRequest,
    name: str,
    params: Mapping[str, Value],
    lengths: tuple[int, ...],
    target: Target,
    causal: tuple[bool, ...],
) -> TargetPoints:
    code = sources.source_hash(target)
    planned = [_planned(ask, name, target, n, c, pass_) for n in lengths for c in causal for pass_ in ask.passes]
    distinct = {key: PlannedPoint(key, point, flags) for point, flags in planned for key in [key_of(point, code)]}
    points = tuple(distinct.values())
    return TargetPoints(name, params, target.impl, ask.usage, points, target.card)


def _planned(
    ask: SweepRequest, text: str, target: Target, n: int, causal: bool, pass_: Pass
) -> tuple[Point, tuple[str, ...]]:
    """A point, and the flags that are known beforehand."""
    batch = max(1, ask.tokens // n) if ask.tokens else ask.shape.batch
    shape = ask.shape.replace(n=n, causal=causal or pass_ == Pass.DECODE, batch=batch)
    params = target.resolve(n)
    point = point_of(text, target, shape, pass_, ask.device)
    flags = [
        f"clipped:{name}={value}" for name, value in params.items() if target.parameters.get(name) not in (None, value)
    ]
    if ask.impl and target.impl and target.impl != ask.impl:
        flags.append(f"impl:{ask.impl} cannot compute it, {target.impl} does")
    return point, tuple(flags)


def point_of(text: str, target: Target, shape: Shape, pass_: Pass, device: DeviceName) -> Point:
    """The point of a target that this text finds, with what is known of its labels."""
    _, unknown = labels_of(target, shape)
    if "causal" in unknown:
        shape = shape.replace(causal=False)  # what is asked of others says nothing here, and is no claim to check
    source = None if text in catalog.names() else text
    return Point(
        target.name,
        shape,
        pass_,
        device,
        target.impl,
        target.layers,
        target.resolve(shape.n),
        source=source,
        unknown=unknown,
        call=call_of_code(target, shape),
    )


def key_of(point: Point, code: str) -> str:
    """The content hash of a point, of the `source_hash` of its target, of torch, and of what measures it."""
    measuring = "" if point.device is DeviceName.NONE else sources.measuring_hash()
    return content_hash([point.to_json(), code, version("torch"), measuring])


def label(target: str) -> str:
    """How `--set` names a target: a scheme by its name, a pattern file by its stem, code by its attribute."""
    return short_name(target)


def settings_of(texts: Sequence[str], targets: Sequence[str]) -> dict[str, dict[str, Value]]:
    """`--set` options by target; without a target's name they need exactly one target."""
    from attnprof.units import parse_setting

    found: dict[str, dict[str, Value]] = {}
    for text in texts:
        setting = parse_setting(text)
        owner = setting.target
        if owner is None:
            if len(targets) != 1:
                raise AttnprofError(
                    f"--set {text} does not say which target it is for",
                    hint=f"write --set {label(targets[0]) if targets else 'longformer'}.{text}",
                )
            owner = label(targets[0])
        found.setdefault(owner, {})[setting.param] = setting.value
    return found
