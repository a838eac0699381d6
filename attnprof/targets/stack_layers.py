"""What the layers of a stack are, once the names in its text are found: mixer, sizes of their own, FFN, shared KV."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from attnprof.contracts import Target
from attnprof.errors import AttnprofError, Unsupported, unknown
from attnprof.graph.draws import is_random
from attnprof.shapes import Shape, checked
from attnprof.targets.scheme import CatalogTarget
from attnprof.targets.stack_text import MOST_LAYERS, LayerText, StackText, format_layer
from attnprof.units import Value
from attnprof.words import FfnKind, Level, StackTail

SIZES = ("dim", "heads", "kv_heads", "head_dim", "v_head_dim")
OF_FFN = ("ffn", "width", "experts", "active", "shared")
SHARES, SHARES_WEIGHTS, IMPL = "shares_kv", "shares_weights", "impl"
OF_LAYER = (*SIZES, *OF_FFN, SHARES, SHARES_WEIGHTS, IMPL)
OF_WHOLE = ("vocab", "causal")
OF_STACK = ("layers", "tail", *OF_WHOLE, *SIZES, *OF_FFN)
NOTHING = "none"
BY_KIND = {"ffn": "plain", "moe": "moe"}
"""Names of layers without a mixer, and the FFN that they are."""

Find = Callable[[str, Mapping[str, Value], str | None], Target]


@dataclass(frozen=True, slots=True)
class LayerFfn:
    """The FFN of a block: `own`, that of the scheme's blocks; two or three (`glu`) matrices of `width`; or experts.

    Experts are gated FFNs of `width`: `active` of `experts` for each token, and `shared` ones that all tokens go to.
    """

    kind: FfnKind = FfnKind.OWN
    width: int | None = None
    experts: int = 0
    active: int = 0
    shared: int = 0

    @classmethod
    def of(cls, settings: Mapping[str, Value]) -> LayerFfn:
        """What a layer's settings say of it. Raises `AttnprofError` for numbers that make none."""
        kind = FfnKind(str(settings["ffn"] or NOTHING)) if "ffn" in settings else None
        sizes = {name: _whole(name, settings[name]) for name in OF_FFN[1:] if name in settings}
        if kind is None:
            if not sizes:
                return cls()
            kind = FfnKind.MOE if "experts" in sizes else FfnKind.PLAIN
        takes = {FfnKind.PLAIN: ("width",), FfnKind.GLU: ("width",), FfnKind.MOE: OF_FFN[1:]}.get(kind, ())
        for name in sizes:
            if name not in takes:
                raise AttnprofError(f"ffn={kind} takes no {name}", hint=f"{name} is of ffn={'moe' if takes else 'glu'}")
        needed = {FfnKind.GLU: ("width",), FfnKind.MOE: ("width", "experts", "active")}.get(kind, ())
        for name in needed:
            if name not in sizes:
                raise AttnprofError(f"ffn={kind} needs {name}", hint=" ".join(f"{need}=..." for need in needed))
        if sizes.get("active", 0) > sizes.get("experts", 0):
            raise AttnprofError(
                f"{sizes['active']} active experts of {sizes['experts']}", hint="active is experts, or less"
            )
        return cls(kind, **sizes)


@dataclass(frozen=True, eq=False)
class StackLayer:
    """One layer: `mixer` (None: an FFN alone), its own sizes in place of the shape's, its FFN, and how it is written.

    `settled` has what the stack says of all its layers too. `shares_kv`: it has queries alone, and reads the keys and
    values of an earlier layer. `shares_weights`: it is an earlier layer of its kind, FFN and norms included, run again.
    """

    written: LayerText
    settled: LayerText
    mixer: Target | None
    sizes: Mapping[str, int] = field(default_factory=dict)
    ffn: LayerFfn = LayerFfn()
    shares_kv: bool = False
    shares_weights: bool = False

    @property
    def label(self) -> str:
        """What it is called in a table: as it is written, without its FFN."""
        besides = {key: value for key, value in self.written.settings.items() if key not in OF_FFN}
        return format_layer(replace(self.written, settings=besides))

    def shape(self, shape: Shape, level: Level) -> Shape:
        """The shape at which its mixer stands: its own sizes, one layer of them.

        A head follows D / h only where neither the stack nor the command gives it a width.
        """
        own = dict(self.sizes)
        return checked(shape.replace(level=level, depth=1, **own))


def layers_of(text: StackText, find: Find) -> tuple[StackLayer, ...]:
    """The layers of a stack, bottom first. Raises `AttnprofError` that names the layer which cannot be."""
    resolved: dict[str, StackLayer] = {}

    def made(written: LayerText, settled: LayerText) -> StackLayer:
        """Layers that come to the same are one object."""
        name = format_layer(settled)
        if name not in resolved:
            resolved[name] = _resolved(written, settled, find)
        return resolved[name]

    found = tuple(made(*both) for both in expanded(text))
    _check_sharing(found)
    return found


def expanded(text: StackText, above: Mapping[str, Value] | None = None) -> tuple[tuple[LayerText, LayerText], ...]:
    """The layers, groups repeated and the period repeated and cut: as written, and with what their stack hands down.

    Raises `AttnprofError` for settings that are none, and for more layers than a stack may have.
    """
    known = OF_STACK if above is None else tuple(name for name in OF_STACK if name not in OF_WHOLE)
    for name in text.settings:
        if name not in known:
            raise unknown("setting of a stack", name, known)
    below = {name: value for name, value in text.settings.items() if name in (*SIZES, *OF_FFN)}
    inherited = {**(above or {}), **below}
    period: list[tuple[LayerText, LayerText]] = []
    for count, inner in text.groups:
        if isinstance(inner, StackText):
            group = expanded(inner, inherited)
        else:
            group = ((inner, replace(inner, settings=_inherited(inner, inherited))),)
        period += group * min(count, MOST_LAYERS + 1)
        if len(period) > MOST_LAYERS:
            raise AttnprofError(f"a stack has at most {MOST_LAYERS} layers", hint="a smaller count")
    layers = _whole("layers", text.settings.get("layers", len(period)))
    if not 1 <= layers <= MOST_LAYERS:
        raise AttnprofError(f"layers is {layers}, but a stack has 1 to {MOST_LAYERS}", hint="layers=62")
    whole, rest = divmod(layers, len(period))
    tail = StackTail(str(text.settings.get("tail", StackTail.CUT)))
    return tuple(period * whole + (period[:rest] if tail is StackTail.CUT else period[-1:] * rest))


def _inherited(layer: LayerText, above: Mapping[str, Value]) -> dict[str, Value]:
    """A layer's settings; what the stack says of FFNs holds for a layer that says nothing of its own."""
    says = any(name in layer.settings for name in OF_FFN) or layer.name in BY_KIND
    handed = {name: value for name, value in above.items() if not (says and name in OF_FFN)}
    return {**handed, **layer.settings}


def _resolved(written: LayerText, settled: LayerText, find: Find) -> StackLayer:
    try:
        return _found(written, settled, find)
    except AttnprofError as error:
        kind = Unsupported if isinstance(error, Unsupported) else AttnprofError
        hint = re.sub(r"--set \w+\.", "", error.hint)  # parameters stand in the text here
        raise kind(f"in the layer `{format_layer(written)}`: {error.message}", hint=hint) from error


def _found(written: LayerText, settled: LayerText, find: Find) -> StackLayer:
    own: dict[str, Value] = dict(settled.settings)
    if written.name == NOTHING or written.name in BY_KIND:
        for name in own:
            if name not in (*OF_FFN, *SIZES):
                raise unknown("setting of a layer without a mixer", name, OF_FFN)
        ffn = LayerFfn.of({"ffn": BY_KIND.get(written.name, FfnKind.PLAIN), **own})
        if ffn.kind in (FfnKind.OWN, FfnKind.NONE):
            raise AttnprofError(f"it has no mixer, and its FFN is {ffn.kind}", hint="ffn=plain, glu or moe")
        return StackLayer(written, settled, None, _sizes(own), ffn)
    taken = _parameters(find(written.name, {}, None))
    params = {name: value for name, value in own.items() if name in taken}
    for name in own:
        if name not in taken and name not in OF_LAYER:
            raise unknown(f"parameter of {written.name}, or setting of a layer,", name, (*taken, *OF_LAYER))
    rest = {name: value for name, value in own.items() if name not in taken}
    impl = rest.get(IMPL)
    mixer = find(written.name, params, None if impl is None else str(impl))
    shared = [_whether(rest, name) for name in (SHARES, SHARES_WEIGHTS)]
    return StackLayer(written, settled, mixer, _sizes(rest), LayerFfn.of(rest), *shared)


def _whether(settings: Mapping[str, Value], name: str) -> bool:
    found = settings.get(name, False)
    if not isinstance(found, bool):
        raise AttnprofError(f"{name} is {found!r}, but it is true or false", hint=f"{name}=true")
    return found


def _parameters(mixer: Target) -> tuple[str, ...]:
    """The parameters of a scheme or pattern; code takes none here."""
    return tuple(mixer.entry.params) if isinstance(mixer, CatalogTarget) else ()


def _sizes(settings: Mapping[str, Value]) -> dict[str, int]:
    return {name: _whole(name, settings[name]) for name in SIZES if name in settings}


def _whole(name: str, value: Value) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < (0 if name == "shared" else 1):
        raise AttnprofError(f"{name} is {value!r}, but it is a whole number, at least 1", hint=f"{name}=8")
    return value


def owner_of(layers: tuple[StackLayer, ...], at: int) -> int:
    """The layer whose keys and values layer `at` reads: the nearest before it of the same kind that has its own.

    Raises `AttnprofError` where there is none.
    """
    mine = layers[at]
    for before in range(at - 1, -1, -1):
        if not layers[before].shares_kv and _kind(layers[before]) == _kind(mine):
            return before
    raise AttnprofError(
        f"layer {at + 1} (`{mine.label}`) shares keys and values, and no layer before it of its kind has any",
        hint=f"the same layer without {SHARES} before it",
    )


def _kind(layer: StackLayer) -> str:
    """What layers have in common whose keys and values are of one kind: mixer, parameters, sizes."""
    besides = {key: value for key, value in layer.settled.settings.items() if key not in (*OF_FFN, SHARES)}
    return format_layer(replace(layer.settled, settings=besides))


def lender_of(layers: tuple[StackLayer, ...], at: int) -> int:
    """The layer whose weights layer `at` runs: the nearest before it that is the same and has its own.

    Raises `AttnprofError` where there is none, or where running it again would not be the same layer.
    """
    mine = layers[at]
    if isinstance(mine.mixer, CatalogTarget) and mine.mixer.entry.edges and is_random(mine.mixer):
        raise AttnprofError(
            f"layer {at + 1} (`{mine.label}`) is drawn anew in every layer, and shares no weights",
            hint=f"leave {SHARES_WEIGHTS} out",
        )
    for before in range(at - 1, -1, -1):
        if not layers[before].shares_weights and _stored(layers[before]) == _stored(mine):
            return before
    raise AttnprofError(
        f"layer {at + 1} (`{mine.label}`) shares weights, and no layer before it is the same and has any",
        hint=f"the same layer without {SHARES_WEIGHTS} before it",
    )


def _stored(layer: StackLayer) -> str:
    """What layers have in common that can have one set of weights: all but the word that they do."""
    settings = {key: value for key, value in layer.settled.settings.items() if key != SHARES_WEIGHTS}
    return format_layer(replace(layer.settled, settings=settings))


def _check_sharing(layers: tuple[StackLayer, ...]) -> None:
    for at, layer in enumerate(layers):
        if layer.shares_kv:
            owner_of(layers, at)
        if layer.shares_weights:
            lender_of(layers, at)
    if any(layer.shares_kv for layer in layers) and any(layer.shares_weights for layer in layers):
        raise AttnprofError(
            f"a stack shares keys and values ({SHARES}) or weights ({SHARES_WEIGHTS}) between its layers, not both",
            hint="leave one of the two out",
        )
