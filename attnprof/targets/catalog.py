"""How anything that can be profiled is found: by its name in `patterns/`, or by the path of a user's own file.

Built-in schemes and a user's pattern file come through the same door. Nothing here imports torch.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from attnprof import impl as implementations
from attnprof.contracts import SchemeFacts, SchemeTarget, Target
from attnprof.errors import AttnprofError, Unsupported, unknown
from attnprof.locate import PACKAGE, shipped
from attnprof.pattern.apart import on_real_numbers
from attnprof.pattern.card import Card
from attnprof.records import Shape, Value
from attnprof.usercode import UserCode
from attnprof.userfiles import import_module, line_in, run_file, sources_of
from attnprof.words import Device, DType, Impl, Maths

if TYPE_CHECKING:
    from attnprof.pattern import Expr

CONTEXT = ("n", "causal", "layer", "head", "seed", "heads", "head_dim")
CAPTURED = (".npz", ".pt")
# What a pattern file may define beside `pattern` and `CARD`, and where an entry holds it.
PARTS = {
    "edges": "edges",
    "resolve": "rules",
    "layers": "layers",
    "pairs": "pairs",
    "score_products": "products",
    "flops_paper": "paper",
    "flops_paper_step": "paper_step",
    "state_numbers": "state",
}
OWN_CARD = Card(
    title="user's pattern",
    bib="",
    survey_class="user's own",
    complexity="",
    causality=(False, True),
    rule="",
)


@dataclass(frozen=True, eq=False)
class Entry:
    """A pattern file: its card, and the functions that it defines."""

    name: str
    path: Path
    card: Card
    draw: Callable[..., Expr] | None
    edges: Callable[..., int] | None = None
    rules: Callable[..., Mapping[str, Value]] | None = None
    paper: Callable[..., int] | None = None
    paper_step: Callable[..., int] | None = None
    pairs: Callable[..., int] | None = None
    products: Callable[..., int] | None = None
    state: Callable[..., int] | None = None
    layers: Callable[..., int] | None = None
    defaults: Mapping[str, Value] = field(default_factory=dict)

    @property
    def has_maths(self) -> bool:
        """Whether tensors can be computed: of the edges of its pattern, or by a scheme's own file."""
        return is_written(self.home, self.card)

    @property
    def home(self) -> str:
        """The name that its maths is known by: that of its file; none of a user's own pattern, whatever its name."""
        ours = self.path.parent == shipped("patterns") or self.card.maths is Maths.OWN
        return self.path.stem if ours else ""

    @property
    def facts(self) -> SchemeFacts:
        """What an implementation may know of it."""
        return facts(self.home, self.card)

    def takes_list(self, name: str) -> bool:
        """Whether a parameter may be a list of integers: its annotation is `int | str`."""
        given = inspect.signature(self.draw).parameters.get(name) if self.draw else None
        return given is not None and {int, str} <= set(get_args(given.annotation))


def names() -> tuple[str, ...]:
    """The names of the catalogue: the files of `patterns/`, sorted."""
    return tuple(sorted(path.stem for path in shipped("patterns").glob("*.py") if not path.stem.startswith("_")))


def entry(name: str) -> Entry:
    """The catalogue entry of that name; an error with the closest names otherwise."""
    if name not in names():
        raise unknown("scheme", name, names())
    return load(shipped("patterns") / f"{name}.py")


def card(name: str) -> Card:
    """The card of that name, read from its text without running the file where it is all literals: no NumPy needed."""
    path = shipped("patterns") / f"{name}.py"
    if not path.is_file():
        raise unknown("scheme", name, names())
    text = re.search(r"^CARD = (Card\(.*?^\))$", path.read_text(encoding="utf-8"), re.M | re.S)
    if text is None:
        return entry(name).card
    call = ast.parse(text[1], mode="eval").body
    assert isinstance(call, ast.Call)
    try:
        return Card(**{str(k.arg): ast.literal_eval(k.value) for k in call.keywords})
    except ValueError:
        return entry(name).card


def is_written(name: str, card: Card) -> bool:
    """Whether tensors can be computed: the pattern is all there is, or `schemes/` has a file of its maths."""
    return card.maths is Maths.PATTERN or maths_file(name, card).is_file()


def distinct_schemes() -> tuple[str, ...]:
    """The schemes whose maths is written, without those that at their defaults are another of them (`gqa` is dense)."""
    cards = {name: card(name) for name in names()}
    return tuple(name for name, it in cards.items() if is_written(name, it) and (it.impls or not it.maths_of))


def maths_file(name: str, card: Card) -> Path:
    """The file of `schemes/` that has, or would have, the maths of an entry."""
    return PACKAGE / "schemes" / f"{card.maths_of or name}.py"


@cache
def written(file: Path) -> tuple[str, ...]:
    """The implementations that a scheme's maths is written for, read from its text: `eager`, or those of `WRITTEN`."""
    if not file.is_file():
        return ()
    text = file.read_text(encoding="utf-8")
    for node in ast.parse(text).body if "\nWRITTEN = " in text else ():
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "WRITTEN":
            assert isinstance(node.value, ast.Dict)
            return tuple(str(ast.literal_eval(key)) for key in node.value.keys if key)
    return ("eager",)


def facts(name: str, card: Card) -> SchemeFacts:
    """What an implementation may know of an entry before anything is built."""
    own = () if card.maths is Maths.PATTERN else written(maths_file(name, card))
    return SchemeFacts(card.maths_of or name, card, own)


def cannot(name: str, card: Card, impl: str) -> str | None:
    """Why an implementation cannot compute an entry on this machine, whatever the device; None where it can.

    Asked at a usual shape, in a precision that every kernel takes.
    """
    if not is_written(name, card):
        return card.instead or "its maths is not written: its graph alone is known"
    usual = Shape(n=1024, causal=True in card.causality, dtype=DType.BFLOAT16)
    return implementations.reason(impl, facts(name, card), usual, Device.NONE)


def able(name: str, card: Card) -> Iterator[Impl]:
    """The implementations that can compute an entry here, the default first."""
    order = (*card.impls, *(impl for impl in implementations.names() if impl not in card.impls))
    return (Impl(impl) for impl in order if cannot(name, card, impl) is None)


@cache
def load(path: Path) -> Entry:
    """A pattern file, by its path: `pattern`, and beside it what else it states, each optional.

    `CARD`; `resolve`: parameters at n; `layers`: layer kinds; `edges`: their number; `pairs`: query-key pairs of all
    softmaxes, where queries read slots too; `score_products`: products as wide as a key that scores take beside one a
    pair; `flops_paper` and `flops_paper_step`: the paper's count of a pass, and of one token more; `state_numbers`:
    numbers that decoding keeps of a sequence.
    """
    module = run_file(path)
    card = getattr(module, "CARD", OWN_CARD)
    draw = getattr(module, "pattern", None)
    borrowed = None
    if draw is None and card.pattern_of:
        borrowed = entry(card.pattern_of)
        draw = borrowed.draw
    if draw is None:
        raise AttnprofError(
            f"{path} defines no function `pattern`",
            hint="it needs `def pattern(n, *, causal=False, window=512)` that returns an expression, e.g. Band(256)",
        )
    own = {name: guarded(path, getattr(module, name, None)) for name in PARTS}
    return Entry(
        name=path.stem,
        path=path,
        card=card,
        draw=draw if borrowed else guarded(path, draw),
        **{field: own[name] or (getattr(borrowed, field) if borrowed else None) for name, field in PARTS.items()},
        defaults=parameters_of(draw),
    )


def guarded(path: Path, call: Callable[..., Any] | None) -> Callable[..., Any] | None:
    """A function of a pattern file whose mistakes come as one clear error that names the file and the line."""
    if call is None:
        return None

    @wraps(call)
    @on_real_numbers
    def safe(*args: Any, **values: Any) -> Any:
        try:
            return call(*args, **values)
        except AttnprofError:
            raise
        except Exception as error:
            given = ", ".join([*map(str, args), *(f"{name}={value!r}" for name, value in values.items())])
            raise AttnprofError(
                f"{path}{line_in(error, path)} fails: {type(error).__name__}: {error}",
                hint=f"it was called as {call.__name__}({given})",
            ) from error

    return safe


def only_object(path: Path) -> str | None:
    """The one class or function that a file without a pattern defines. Raises `AttnprofError` where there are several.

    None for a pattern file, and for a file that defines nothing to profile.
    """
    module = run_file(path)
    if hasattr(module, "pattern") or hasattr(module, "CARD"):
        return None
    own = [
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and callable(value) and getattr(value, "__module__", None) == module.__name__
    ]
    if len(own) > 1:
        raise AttnprofError(
            f"{path} defines no function `pattern`, and {len(own)} classes and functions",
            hint=f"name one: {', '.join(f'{path}:{name}' for name in own)}",
        )
    return own[0] if own else None


def parameters_of(draw: Callable[..., Any]) -> dict[str, Value]:
    """The parameters of a pattern function, with their defaults: its keywords that are not context."""
    found = inspect.signature(draw).parameters.values()
    return {p.name: p.default for p in found if p.name not in CONTEXT and p.kind is p.KEYWORD_ONLY}


def accepted(function: Callable[..., Any], **offered: Any) -> dict[str, Any]:
    """Of the keywords offered, those that the function takes."""
    known = inspect.signature(function).parameters
    return {k: v for k, v in offered.items() if k in known}


def find(
    text: str,
    *,
    params: Mapping[str, Value] | None = None,
    impl: str | None = None,
    arguments: Mapping[str, Value] | None = None,
    layout: str | None = None,
    name: str | None = None,
) -> Target:
    """The target that a command line names (see `attnprof --help`), under a name of its own if one is given.

    `params` sets parameters of a scheme or pattern file, `arguments` those of a module's constructor; `impl` is
    how a scheme is computed, `layout` the order of a module's axes (`Layout`). Raises `AttnprofError` for anything
    unknown, with the nearest valid choice.
    """
    found = _found(text, params or {}, impl, arguments or {}, layout)
    return found if name in (None, found.name) else renamed(found, name)


def is_code(text: str) -> bool:
    """Whether a text finds a user's code: an attribute of a file or package."""
    file, colon, attribute = text.rpartition(":")
    return bool(file and colon) and attribute.isidentifier()


def renamed(target: Target, name: str) -> Target:
    """The same target, called otherwise in records and pages."""
    from attnprof.targets.scheme import CatalogTarget

    if isinstance(target, CatalogTarget):
        return replace(target, entry=replace(target.entry, name=name))
    return target.renamed(name) if isinstance(target, UserCode) else target


def _found(
    text: str,
    params: Mapping[str, Value],
    impl: str | None,
    arguments: Mapping[str, Value],
    layout: str | None,
) -> Target:
    from attnprof.targets.scheme import CatalogTarget, as_it_looks

    if text in names():
        return CatalogTarget.of(entry(text), params, impl)
    file, _, attribute = text.rpartition(":")
    if is_code(text):
        from attnprof.targets.code import foreign

        module = run_file(Path(file)) if file.endswith(".py") else import_module(file)
        return foreign(text, module, attribute, params, impl, arguments, layout)
    if text.endswith(".py"):
        only = only_object(Path(text))
        if only is not None:
            return _found(f"{text}:{only}", params, impl, arguments, layout)
        return as_it_looks(CatalogTarget.of(load(Path(text).resolve()), params, impl))
    if text.endswith(CAPTURED):
        from attnprof.targets.captured import captured

        return captured(Path(text), impl)
    raise unknown("scheme", text, names())


def checked(shape: Shape) -> Shape:
    """The shape, if its sizes can be: whole and positive, heads dividing the width, KV heads dividing the heads."""
    for label in ("n", "batch", "dim", "heads", "groups", "depth", "keys"):
        size = getattr(shape, label)
        if not isinstance(size, int) or isinstance(size, bool):
            raise AttnprofError(f"{label} is {size!r}, but a size is a whole number", hint=f"e.g. {label} = 8")
        if size < 1:
            raise AttnprofError(f"{label} is {size}, but a size is at least 1", hint=f"e.g. --{label} 8")
    if not isinstance(shape.causal, bool):
        raise AttnprofError(
            f"causal is {shape.causal!r}, but it is True or False", hint="leave it out for the native one"
        )
    if shape.dim % shape.heads:
        near = [h for h in range(1, shape.dim + 1) if shape.dim % h == 0]
        best = sorted(near, key=lambda h: abs(h - shape.heads))[:2]
        raise AttnprofError(
            f"{shape.heads} heads do not divide the width {shape.dim}",
            hint=f"the nearest head counts that do: {' and '.join(map(str, sorted(best)))}",
        )
    if shape.heads % shape.groups:
        near = [g for g in range(1, shape.heads + 1) if shape.heads % g == 0]
        raise AttnprofError(
            f"{shape.groups} KV heads do not divide {shape.heads} query heads",
            hint=f"KV heads that do: {', '.join(map(str, near))}",
        )
    return shape


def source_hash(target: Target) -> str:
    """A hash of all the code that decides what a target costs: its own files and the rooms that it rests on."""
    own = [Path(file) for file in target.files] if isinstance(target, (UserCode, SchemeTarget)) else []
    if target.impl and target.impl.endswith(".py"):
        own.append(Path(target.impl))
    own = [source for file in own for source in (sources_of(file) if file.suffix == ".py" else (file,))]
    if target.card.pattern_of:
        own.append(shipped("patterns") / f"{target.card.pattern_of}.py")
    own += [maths_file(file.stem, target.card) for file in own[:1]]
    digest = hashlib.sha256(_shared_sources())
    for file in own:
        digest.update(file.read_bytes() if file.is_file() else b"")
    return digest.hexdigest()[:16]


@cache
def _shared_sources() -> bytes:
    """What every target's cost rests on; it does not change while a process runs."""
    digest = hashlib.sha256()
    rooms = ("pattern", "layers", "impl", "targets", "counting")
    for file in sorted(file for room in rooms for file in (PACKAGE / room).rglob("*.py")):
        digest.update(file.read_bytes())
    return digest.digest()


__all__ = ["Entry", "Unsupported", "checked", "entry", "find", "load", "names", "source_hash"]
