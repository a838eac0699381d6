"""How anything that can be profiled is found: by its name in `patterns/`, or by the path of a user's own file.

Built-in schemes and a user's pattern file come through the same door. Nothing here imports torch.
"""

from __future__ import annotations

import ast
import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attnprof.contracts import Target
from attnprof.errors import AttnprofError, Unsupported, unknown
from attnprof.locate import PACKAGE, shipped
from attnprof.pattern.apart import on_real_numbers
from attnprof.pattern.card import Card
from attnprof.pattern.definition import Parts, check_examples, check_keywords, functions_of, params_of
from attnprof.pattern.param import Param
from attnprof.records import Shape, Value
from attnprof.usercode import UserCode
from attnprof.userfiles import import_module, line_in, run_file, sources_of
from attnprof.words import Maths, Runner

if TYPE_CHECKING:
    from attnprof.pattern import Expr

CAPTURED = (".npz", ".pt")
OWN_CARD = Card(
    title="user's pattern",
    bib="",
    survey_class="user's own",
    causality=(False, True),
    rule="",
)


@dataclass(frozen=True, eq=False)
class Entry(Parts):
    """A pattern file: its card, its parameters, settings that the laws run, and the functions that it defines."""

    name: str
    path: Path
    card: Card
    draw: Callable[..., Expr] | None
    params: Mapping[str, Param] = field(default_factory=dict)
    examples: tuple[Mapping[str, Value], ...] = ({},)

    @property
    def has_maths(self) -> bool:
        """Whether tensors can be computed: by a runner, or by a scheme module of the same name."""
        return is_written(self.name, self.card)

    @property
    def defaults(self) -> dict[str, Value]:
        """The defaults of its parameters; None for one that is a function of n."""
        return {name: param.default for name, param in self.params.items()}


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
    """Whether tensors can be computed: the pattern is all there is, or `schemes/` has a file of that name."""
    return card.maths is Maths.PATTERN or (PACKAGE / "schemes" / f"{name}.py").is_file()


def runners_of(card: Card) -> tuple[Runner, ...]:
    """The runners that can execute a scheme, the default first; none for one with maths of its own alone."""
    return tuple(Runner(name) for name in card.runners) or (tuple(Runner) if card.maths is Maths.PATTERN else ())


@cache
def load(path: Path) -> Entry:
    """A pattern file, by its path; see `attnprof.pattern.definition` for what it may define.

    Raises `AttnprofError` where it draws no pattern, or defines what is nearly a part but none.
    """
    module = run_file(path)
    own = functions_of(module)
    stated: Mapping[str, Any] = vars(module)
    card: Card = stated.get("CARD", OWN_CARD)
    borrowed = entry(card.pattern_of) if "pattern" not in own and card.pattern_of else None
    if borrowed is None and "pattern" not in own:
        raise AttnprofError(
            f"{path} defines no function `pattern`",
            hint="it needs `def pattern(n, *, causal=False, window=512)` that returns an expression, e.g. Band(256)",
        )
    params = borrowed.params if borrowed else _params(path, stated.get("PARAMS", {}), own["pattern"])
    for part, function in own.items():
        check_keywords(path, part, function, params)
    parts: dict[str, Any] = {part: guarded(path, function) for part, function in own.items()}
    draw = parts.pop("pattern", None)
    examples = check_examples(path, stated.get("EXAMPLES", ({},)), params)
    if borrowed:
        return replace(borrowed, name=path.stem, path=path, card=card, examples=examples, **parts)
    return Entry(path.stem, path, card, draw, params, examples, **parts)


def _params(path: Path, stated: Mapping[str, Param], draw: Callable[..., Expr]) -> dict[str, Param]:
    """The parameters of a pattern file, the functions in them guarded as its parts are."""
    return {
        name: replace(
            param,
            most=guarded(path, param.most) if callable(param.most) else param.most,
            follows=param.follows and guarded(path, param.follows),
        )
        for name, param in params_of(path, stated, draw).items()
    }


def guarded(path: Path, call: Callable[..., Any]) -> Callable[..., Any]:
    """A function of a pattern file whose mistakes come as one clear error that names the file and the line."""

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
    if {"pattern", "CARD"} & vars(module).keys():
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


def find(
    text: str,
    *,
    params: Mapping[str, Value] | None = None,
    runner: str | None = None,
    arguments: Mapping[str, Value] | None = None,
    layout: str | None = None,
    name: str | None = None,
) -> Target:
    """The target that a command line names (see `attnprof --help`), under a name of its own if one is given.

    `params` sets parameters of a scheme or pattern file, `arguments` those of a module's constructor; `runner` is
    `masked`, `gather` or `flex`, `layout` the order of a module's axes (`Layout`). Raises `AttnprofError` for anything
    unknown, with the nearest valid choice.
    """
    found = _found(text, params or {}, runner, arguments or {}, layout)
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
    runner: str | None,
    arguments: Mapping[str, Value],
    layout: str | None,
) -> Target:
    from attnprof.targets.scheme import CatalogTarget, as_it_looks

    if text in names():
        return CatalogTarget.of(entry(text), params, runner)
    file, _, attribute = text.rpartition(":")
    if is_code(text):
        from attnprof.targets.code import foreign

        module = run_file(Path(file)) if file.endswith(".py") else import_module(file)
        return foreign(text, module, attribute, params, runner, arguments, layout)
    if text.endswith(".py"):
        only = only_object(Path(text))
        if only is not None:
            return _found(f"{text}:{only}", params, runner, arguments, layout)
        return as_it_looks(CatalogTarget.of(load(Path(text).resolve()), params, runner))
    if text.endswith(CAPTURED):
        from attnprof.targets.captured import captured

        return captured(Path(text), runner)
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
    """A hash of all the code that decides what a target costs: its own files, layers, runners, patterns, counting."""
    path = getattr(getattr(target, "entry", None), "path", None)
    own = [Path(path)] if path else [Path(p) for p in (target.files if isinstance(target, UserCode) else ())]
    own = [source for file in own for source in (sources_of(file) if file.suffix == ".py" else (file,))]
    if target.card.pattern_of:
        own.append(shipped("patterns") / f"{target.card.pattern_of}.py")
    own.append(PACKAGE / "schemes" / f"{target.name}.py")
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
